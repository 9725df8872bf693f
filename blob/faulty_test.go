package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	cloud "gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// An op is an operation on a faultyBucket.
type op struct {
	kind string // list, look, open, read, write, commit, committed, delete, deleted
	key  string
	at   int // bytes that were read or written before
}

// A faultyBucket is a bucket in memory that fails where a test wants it to. It does what the
// contract of drivers allows and no more: a writer that is closed publishes all that it has, unless
// its context has ended.
type faultyBucket struct {
	mu      sync.Mutex                      // protects what follows
	fault   func(context.Context, op) error // asked before each operation, and after those that end in -ed
	objects map[string]driver.ListObject
	texts   map[string][]byte
	hidden  string // the key of an object that listings leave out
	room    int    // bytes that objects may have together, or 0 for any number
	ops     []op
}

func newFaultyBucket() *faultyBucket {
	return &faultyBucket{objects: map[string]driver.ListObject{}, texts: map[string][]byte{}}
}

var (
	errNoObject = errors.New("no such object")
	errRefused  = errors.New("refused")
	errNoRoom   = errors.New("the bucket is full")
	errOutage   = errors.New("the service is out of order")
)

func (b *faultyBucket) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, errNoObject), errors.Is(err, errGoogle):
		return gcerrors.NotFound
	case errors.Is(err, errRefused):
		return gcerrors.PermissionDenied
	}
	return gcerrors.Unknown
}

func (b *faultyBucket) As(any) bool             { return false }
func (b *faultyBucket) ErrorAs(error, any) bool { return false }
func (b *faultyBucket) Close() error            { return nil }
func (b *faultyBucket) Copy(context.Context, string, string, *driver.CopyOptions) error {
	return errors.ErrUnsupported
}

func (b *faultyBucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errors.ErrUnsupported
}

func (b *faultyBucket) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	if err := b.ask(ctx, op{kind: "look", key: key}); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	object, found := b.objects[key]
	if !found {
		return nil, errNoObject
	}
	return &driver.Attributes{Size: object.Size}, nil
}

// ask counts an operation and has it fail if the test wants it to.
func (b *faultyBucket) ask(ctx context.Context, o op) error {
	b.mu.Lock()
	b.ops = append(b.ops, o)
	fault := b.fault
	b.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx, o)
}

// fail has operations fail from now on, or no longer.
func (b *faultyBucket) fail(fault func(context.Context, op) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = fault
}

func (b *faultyBucket) ListPaged(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	if err := b.ask(ctx, op{kind: "list", key: string(o.PageToken)}); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	page, last := &driver.ListPage{}, ""
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rest, found := strings.CutPrefix(key, o.Prefix)
		if !found || key == b.hidden || key <= string(o.PageToken) || strings.Contains(rest, o.Delimiter) {
			continue
		}
		if len(page.Objects) == 3 { // small pages, so that tests have several
			page.NextPageToken = []byte(last)
			break
		}
		object := b.objects[key]
		page.Objects = append(page.Objects, &object)
		last = key
	}
	return page, nil
}

func (b *faultyBucket) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	if err := b.ask(ctx, op{kind: "delete", key: key}); err != nil {
		return err
	}
	b.mu.Lock()
	_, found := b.objects[key]
	delete(b.objects, key)
	delete(b.texts, key)
	b.mu.Unlock()
	if !found {
		return errNoObject
	}
	return b.ask(ctx, op{kind: "deleted", key: key})
}

// A faultyReader reads an object as it was when it was opened.
type faultyReader struct {
	bucket *faultyBucket
	ctx    context.Context
	key    string
	text   []byte
	at     int
}

func (b *faultyBucket) NewRangeReader(ctx context.Context, key string, _, _ int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	if err := b.ask(ctx, op{kind: "open", key: key}); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	text, found := b.texts[key]
	if !found {
		return nil, errNoObject
	}
	return &faultyReader{b, ctx, key, text, 0}, nil
}

// Read reads a few bytes at a time, and the last of them together with io.EOF, as a Reader may.
func (r *faultyReader) Read(p []byte) (int, error) {
	if err := r.bucket.ask(r.ctx, op{"read", r.key, r.at}); err != nil {
		return 0, err
	}
	n := copy(p[:min(len(p), 16)], r.text[r.at:])
	r.at += n
	if r.at == len(r.text) {
		return n, io.EOF
	}
	return n, nil
}

func (r *faultyReader) Close() error { return nil }
func (r *faultyReader) As(any) bool  { return false }
func (r *faultyReader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{Size: int64(len(r.text))}
}

// A faultyWriter keeps what is written until it is closed.
type faultyWriter struct {
	bucket *faultyBucket
	ctx    context.Context
	key    string
	text   bytes.Buffer
}

func (b *faultyBucket) NewTypedWriter(ctx context.Context, key, _ string, _ *driver.WriterOptions) (driver.Writer, error) {
	return &faultyWriter{bucket: b, ctx: ctx, key: key}, nil
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if err := w.bucket.ask(w.ctx, op{"write", w.key, w.text.Len()}); err != nil {
		return 0, err
	}
	n := len(p)
	if room := w.bucket.free(w.text.Len()); n > room {
		w.text.Write(p[:room])
		return room, errNoRoom
	}
	w.text.Write(p)
	return n, nil
}

// Close publishes.
func (w *faultyWriter) Close() error {
	if err := w.bucket.ask(w.ctx, op{"commit", w.key, w.text.Len()}); err != nil {
		return err
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.bucket.put(w.key, w.text.Bytes(), time.Now())
	return w.bucket.ask(w.ctx, op{"committed", w.key, w.text.Len()})
}

func (b *faultyBucket) put(key string, text []byte, stored time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = driver.ListObject{Key: key, Size: int64(len(text)), ModTime: stored}
	b.texts[key] = slices.Clone(text)
}

// free returns the room that is left, beside taken bytes of a writer.
func (b *faultyBucket) free(taken int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room == 0 {
		return 1 << 30
	}
	for _, text := range b.texts {
		taken += len(text)
	}
	return max(0, b.room-taken)
}

// hide leaves an object out of listings, or none.
func (b *faultyBucket) hide(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hidden = key
}

// contents returns a copy of all objects.
func (b *faultyBucket) contents() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]string{}
	for key, text := range b.texts {
		all[key] = string(text)
	}
	return all
}

// copies returns the copies under "app" in the bucket.
func (b *faultyBucket) copies(t *testing.T, opts ...Option) *Copies {
	t.Helper()
	c, err := New(cloud.NewBucket(b), "app", opts...)
	require.NoError(t, err)
	return c
}

// The bucket of these tests is itself a bucket: what it does is what the drivers do, too.
func TestTheFaultyBucketPublishesWhenItIsClosed(t *testing.T) {
	b := newFaultyBucket()
	bucket := cloud.NewBucket(b)
	failure := errors.New("the reader fails")
	require.ErrorIs(t, bucket.Upload(t.Context(), "a", io.MultiReader(strings.NewReader("part"), failing{failure}), &cloud.WriterOptions{ContentType: "text/plain"}), failure)
	require.Equal(t, map[string]string{"a": "part"}, b.contents(), "the mistake that put must not make")

	ctx, cancel := context.WithCancel(t.Context())
	w, err := bucket.NewWriter(ctx, "b", &cloud.WriterOptions{ContentType: "text/plain"})
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, w.Close(), context.Canceled)
	require.Len(t, b.contents(), 1)
	_, err = bucket.ReadAll(t.Context(), "b")
	require.Equal(t, gcerrors.NotFound, gcerrors.Code(err))
	require.NotErrorIs(t, err, fs.ErrNotExist)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

package s3test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	cloud "gocloud.dev/blob"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/blob"
)

const bucketName = "test-bucket"

// A stage is a server, a proxy before it, and a bucket that is seen from both sides.
type stage struct {
	server *Server
	proxy  *Proxy
	client *s3.Client // behind the proxy
	direct *s3.Client // of the server
	scenes int
}

func newStage(t *testing.T) *stage {
	t.Helper()
	server := Start(t)
	proxy := NewProxy(t, server)
	s := &stage{
		server: server, proxy: proxy,
		client: NewClient(t, proxy.Address(), Always(Root())),
		direct: NewClient(t, server.Address(), Always(Root())),
	}
	NewBucket(t, s.direct, bucketName)
	return s
}

// A scene is a prefix that has two old copies.
type scene struct {
	*stage
	prefix string
	old    []blob.Copy
}

// The backups of small copies, and the entries of two of them.
const (
	oldest = backup(`{"value":"1"}` + "\n")
	older  = backup(`{"value":"2"}` + "\n")
	newest = backup(`{"value":"3"}` + "\n")
)

var (
	olderEntries  = map[string]string{"value": "2"}
	newestEntries = map[string]string{"value": "3"}
)

// A backup is the source of a copy. With many megabytes, it is quicker than a store.
type backup string

// WriteTo writes the backup.
func (b backup) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(b))
	return int64(n), err
}

func newScene(t *testing.T, s *stage) *scene {
	t.Helper()
	s.proxy.Disarm()
	s.scenes++
	c := &scene{stage: s, prefix: fmt.Sprint("scene", s.scenes)}
	c.old = []blob.Copy{
		c.plant(t, "20020101T000000.000000000Z", oldest),
		c.plant(t, "20030101T000000.000000000Z", older),
	}
	return c
}

// plant puts a copy into the folder of the server, as if it had been made at a time.
func (c *scene) plant(t *testing.T, at string, text backup) blob.Copy {
	t.Helper()
	when, err := time.Parse("20060102T150405.000000000Z", at)
	require.NoError(t, err)
	planted := blob.Copy{
		Name: c.prefix + "/" + at + "-0123456789abcdef.json", Time: when,
		Bytes: int64(len(text)), SHA256: sha256.Sum256([]byte(text)),
	}
	file := c.server.File(bucketName, planted.Name)
	seal := fmt.Sprintf("%s.%d.%x.sealed", file, planted.Bytes, planted.SHA256)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	require.NoError(t, os.WriteFile(seal, nil, 0o600))
	return planted
}

// copies returns the copies of the scene, as client sees them.
func (c *scene) copies(t *testing.T, client *s3.Client, opts ...blob.Option) *blob.Copies {
	t.Helper()
	bucket := c.open(t, client)
	copies, err := blob.New(bucket, c.prefix, opts...)
	require.NoError(t, err)
	return copies
}

func (s *stage) open(t *testing.T, client *s3.Client) *cloud.Bucket {
	t.Helper()
	bucket := Open(t, client, bucketName)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return bucket
}

// copy makes a copy that no fault can hit.
func (c *scene) copy(t *testing.T, b backup, opts ...blob.Option) blob.Copy {
	t.Helper()
	made, err := c.copies(t, c.direct, opts...).Copy(t.Context(), b)
	require.NoError(t, err)
	return made
}

// requireWhole fails the test unless each copy that is listed can be restored, and has the
// bytes that its seal says, on the disk of the server. It returns the copies, oldest first.
func (c *scene) requireWhole(t *testing.T) []blob.Copy {
	t.Helper()
	copies := c.copies(t, c.direct)
	listed, err := copies.List(t.Context())
	require.NoError(t, err)
	for _, made := range listed {
		text, err := os.ReadFile(c.server.File(bucketName, made.Name))
		require.NoError(t, err)
		require.Equal(t, made.SHA256, sha256.Sum256(text))
		if made.Bytes < 1<<10 { // the others take seconds with the race detector
			require.NoError(t, copies.RestoreCopy(t.Context(), storeOf(t, nil), made))
		}
	}
	return listed
}

// requireCopyOf fails the test unless a copy is one of b.
func requireCopyOf(t *testing.T, b backup, made blob.Copy) {
	t.Helper()
	require.Equal(t, sha256.Sum256([]byte(b)), made.SHA256)
}

func storeOf(t *testing.T, entries map[string]string) *genie.Store {
	t.Helper()
	store, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	for key, value := range entries {
		store.Set(key, value)
	}
	return store
}

// multipart is the size from which the client of S3 sends an object in parts, whatever the size
// of a part. With parts of 8 MiB, a backup that is a little larger has three.
const multipart = 16 << 20

// large is a backup of several parts.
var large = backupOf(multipart)

// backupOf returns a backup that is a little larger than size.
func backupOf(size int) backup {
	return backup(`{"key":"` + strings.Repeat("0123456789abcdef", size/16) + `"}` + "\n")
}

// is reports whether a fault is one of these.
func (f Fault) is(these ...Fault) bool {
	return slices.ContainsFunc(these, func(g Fault) bool { return f.Name == g.Name })
}

func (f Fault) stalls() bool   { return f.is(StallRequest, StallAnswer) }
func (f Fault) denies() bool   { return f.is(AccessDenied, ExpiredToken, ExpiredForbidden) }
func (f Fault) isAnswer() bool { return f.is(ResetAnswer, CutAnswer, StallAnswer) } // the server has done it

// everyFault returns the faults that each request goes through.
func everyFault() []Fault {
	faults := []Fault{StallRequest, StallAnswer}
	for _, b := range brief {
		faults = append(faults, b.fault)
	}
	return faults
}

// patience is how long a test waits for an event that comes soon, also on a machine that is busy, or never.
const patience = 3 * time.Minute

// patience returns how long a call may take in which a fault has struck. A call that is slow and moves on
// takes as long as the machine needs.
func (f Fault) patience() <-chan time.Time {
	if f.is(Slow) {
		return nil
	}
	return time.After(patience)
}

var errHangs = errors.New("the call goes on although it should have ended")

// within returns what comes from done, or errHangs if limit comes first.
func within(limit <-chan time.Time, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-limit:
		return errHangs
	}
}

// during calls do while a fault is armed. If the fault is a stall, it ends the context of do when
// the stall has begun. It returns the error of do, and whether the fault has struck.
func during(t *testing.T, f Fault, struck <-chan struct{}, do func(context.Context) error) (err error, hit bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	select {
	case err = <-done:
	case <-struck:
		if f.stalls() {
			cancel()
		}
		err = within(f.patience(), done)
	}
	select {
	case <-struck:
		hit = true
	default:
	}
	require.NotErrorIs(t, err, errHangs)
	return err, hit
}

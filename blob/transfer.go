package blob

import (
	"context"
	"crypto/sha256"
	"io"
	"os"

	cloud "gocloud.dev/blob"
)

// concurrency is how many parts of an upload are under way at once. The client of S3 keeps a buffer
// more than that.
const concurrency = 2

// put stores what src writes as an object, or nothing, and returns the length and the sum. If
// committed is true beside an error, the object may be there all the same.
//
// The drivers publish an object when its writer is closed, also after a Write that failed. Only a
// context that is cancelled before the Close keeps each of them from it, so that is the order
// here on every way out, a panic of src included.
func (c *Copies) put(ctx context.Context, key string, src io.WriterTo, report func(int64)) (r *receiver, committed bool, err error) {
	ctx, w := watched(ctx, c.uploadLimit())
	defer w.stop()
	var file *os.File
	object, err := c.bucket.NewWriter(ctx, key, c.writerOptions(&file))
	if err != nil {
		return nil, false, w.failed(ctx, err)
	}
	defer func() {
		if !committed {
			w.cancel(nil)
			_ = object.Close() // its error is that of the context
		}
	}()
	r = &receiver{ctx: ctx, to: object, sum: sha256.New(), moved: func(n int64) { w.moved(); report(n) }}
	n, err := src.WriteTo(r)
	if err == nil {
		err = r.failed // which src has ignored
	}
	if err == nil && n != r.bytes {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = syncFile(file)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, false, w.failed(ctx, err)
	}
	committed = true
	if err := object.Close(); err != nil {
		return nil, true, w.failed(ctx, err)
	}
	if file != nil {
		if err := c.syncFolders(ctx); err != nil {
			return nil, true, w.failed(ctx, err)
		}
	}
	return r, true, nil
}

func (c *Copies) writerOptions(file **os.File) *cloud.WriterOptions {
	return &cloud.WriterOptions{
		BufferSize:     c.partSize,
		MaxConcurrency: concurrency,
		ContentType:    "application/json",
		BeforeWrite: func(as func(any) bool) error {
			if as(file) { // the driver is that of a folder
				return (*file).Chmod(ownersOnly)
			}
			return nil
		},
	}
}

// ownersOnly is the mode of a backup file of package genie, and so that of its copies.
const ownersOnly = 0o600

// syncFile makes the contents of a file durable before its name is. A bucket that is a service
// has no file, and does this on its own.
func syncFile(file *os.File) error {
	if file == nil {
		return nil
	}
	return file.Sync()
}

// nothing writes an empty object.
type nothing struct{}

func (nothing) WriteTo(io.Writer) (int64, error) { return 0, nil }

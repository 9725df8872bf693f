package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"syscall"
)

// A receiver passes on what is written, and counts and sums it up.
type receiver struct {
	ctx   context.Context
	to    io.Writer
	moved func(bytes int64) // called after each write
	bytes int64
	sum   hash.Hash

	// Invariant: once it is not nil, nothing is passed on. A source that ignores the error of a Write
	// would otherwise leave a hole in its backup.
	failed error
}

// Write writes p, unless a Write has failed before. Drivers may look at their context at the end
// only, so Write looks at it each time.
func (r *receiver) Write(p []byte) (n int, err error) {
	if r.failed == nil {
		r.failed = r.ctx.Err()
	}
	if r.failed == nil {
		n, r.failed = r.pass(p)
	}
	return n, r.failed
}

func (r *receiver) pass(p []byte) (int, error) {
	n, err := r.to.Write(p)
	r.sum.Write(p[:n])
	r.bytes += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	r.moved(r.bytes)
	return n, err
}

// A checkedReader passes on a backup that is read, and its end only if length and sum are those
// of the copy. Until then its caller must not act on any of it, and genie.Store.ReadFrom does not.
type checkedReader struct {
	ctx   context.Context
	from  io.Reader
	moved func(bytes int64) // called after each read
	copy  Copy
	bytes int64
	sum   hash.Hash
	turn  turn

	// At most one of the two is not nil. If both are nil at io.EOF, the copy is whole.
	fault  error // the copy is not whole
	short  bool  // the fault is that the backup ended early, as it may where a line is cut without a word
	broken error // the reader has failed
}

func newCheckedReader(ctx context.Context, from io.Reader, c Copy, moved func(int64)) *checkedReader {
	return &checkedReader{ctx: ctx, from: from, moved: moved, copy: c, sum: sha256.New()}
}

// maxRead is how much is read and summed up between two looks at the clock.
const maxRead = 32 << 10

// Read reads from the backup. In place of io.EOF it returns the fault, if there is one.
func (r *checkedReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		r.broken = err
		return 0, err
	}
	n, err := r.from.Read(p[:min(len(p), maxRead)])
	r.sum.Write(p[:n])
	r.bytes += int64(n)
	r.moved(r.bytes)
	r.turn.end()
	switch {
	case r.bytes > r.copy.Bytes:
		r.fault = fmt.Errorf("the backup has more than %d bytes", r.copy.Bytes)
		return 0, r.fault
	case errors.Is(err, io.EOF), err != nil && r.bytes == r.copy.Bytes:
		// The client of S3 gives an error at the end if a checksum of its own is wrong.
		return n, r.end()
	case errors.Is(err, syscall.EIO):
		r.fault = err // the disk of a folder cannot read it
	case err != nil:
		r.broken = err
	}
	return n, err
}

// end returns io.EOF if the backup that was read is that of the copy, or else the fault.
func (r *checkedReader) end() error {
	if r.bytes != r.copy.Bytes {
		r.short = true
		r.fault = fmt.Errorf("the backup has %d bytes, and not %d", r.bytes, r.copy.Bytes)
		return r.fault
	}
	if sum := r.sum.Sum(nil); string(sum) != string(r.copy.SHA256[:]) {
		r.fault = fmt.Errorf("the SHA-256 of the backup is %x, and not %x", sum, r.copy.SHA256)
		return r.fault
	}
	return io.EOF
}

package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/gcerrors"

	"github.com/windevkay/forge/genie"
)

// Verify reads a copy from the bucket, compares its length and its SHA-256 with those of its
// seal, and checks its form, as [Copies.Copy] does. It returns a [*DamageError] if the copy is not whole, an error that is [ErrRemoved]
// if it is gone, an error that is [io/fs.ErrPermission] if the bucket refuses access, and
// otherwise the error of the bucket, after which the copy may be whole or not. Its memory does
// not grow with the copy, but holds its longest key or value.
func (c *Copies) Verify(ctx context.Context, copy Copy) error {
	err := c.read(ctx, copy, ReadingBack, readSealed)
	if err != nil {
		return fmt.Errorf("genie/blob: verify: %w", err)
	}
	return nil
}

// readAll reads to the end. io.Copy would read pieces of 8 KiB.
func readAll(r io.Reader) error {
	for piece := make([]byte, maxRead); ; {
		switch _, err := r.Read(piece); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// attempts is how often a copy is read whose reading breaks off.
const attempts = 2

// read has use read a copy. Its end comes only if the copy is whole. The error is a
// *DamageError if it is not, or if use returns an error that is genie.ErrCorrupt.
//
// A reading that breaks off each time is no damage: a line that cuts long answers would have a
// Restore take an old, short copy in place of the newest.
func (c *Copies) read(ctx context.Context, copy Copy, action Action, use func(io.Reader) error) error {
	for attempt := 1; ; attempt++ {
		broken, err := c.readOnce(ctx, copy, action, use)
		if !broken {
			return err
		}
		if attempt == attempts {
			if errors.Is(err, ErrDamaged) { // each time the backup ended early, and without an error
				return err
			}
			return fmt.Errorf("reading %s broke off %d times: %w", copy.Name, attempts, err)
		}
	}
}

// readOnce is read with one attempt. It reports whether the reading broke off in the middle.
func (c *Copies) readOnce(ctx context.Context, copy Copy, action Action, use func(io.Reader) error) (broken bool, err error) {
	ctx, w := watched(ctx, stallLimit)
	defer w.stop()
	object, err := c.bucket.NewReader(ctx, copy.Name, nil)
	if err != nil {
		return false, c.missing(ctx, w, copy, w.failed(ctx, err))
	}
	defer object.Close()
	r := newCheckedReader(ctx, object, copy, func(n int64) {
		w.moved()
		c.progress(Progress{action, copy.Name, n, copy.Bytes})
	})
	err = use(r)
	switch {
	case r.fault != nil:
		return r.short, &DamageError{copy, r.fault}
	case r.broken != nil:
		err = w.failed(ctx, r.broken)
		return ctx.Err() == nil && !isDenied(err), err
	case errors.Is(err, genie.ErrCorrupt):
		return false, &DamageError{copy, err}
	}
	return false, err
}

// errMissing is not io/fs.ErrNotExist: a copy that has lost its backup is damage, and must not
// look like a bucket without copies.
var errMissing = errors.New("the backup is missing")

// missing returns the error for a copy that cannot be opened. If its backup is not there, its seal
// tells whether another writer has removed it, whose order is the seal first. An error of the disk in the
// middle of a copy is damage. At its opening it is none, as a disk that is away gives it for each copy.
func (c *Copies) missing(ctx context.Context, w *watch, copy Copy, err error) error {
	if gcerrors.Code(err) != gcerrors.NotFound || isDenied(err) {
		return err
	}
	w.moved()
	switch sealed, err := c.bucket.Exists(ctx, sealOf(copy)); {
	case err != nil:
		return w.failed(ctx, err)
	case sealed:
		return &DamageError{copy, errMissing}
	}
	return ErrRemoved
}

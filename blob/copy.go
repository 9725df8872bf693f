package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Copy stores what src writes as a new copy: a [genie.Store], or anything else whose WriteTo writes
// a backup. When Copy returns a nil error, the copy is stored, was read back and compared, and is
// sealed; and the copies that [WithKeep] does not keep are removed.
//
// While a copy is read back, Copy checks its form, too: it is one JSON object of strings, or of values
// with deadlines, and nothing follows. If src has written anything else, no copy is made, and the
// error is [io/fs.ErrInvalid]. A Write that has failed fails the copy, also if src ignores its error.
// Copy does not check one thing: a src other than a store must not write a name twice, as a restore refuses
// such a copy.
//
// If Copy returns an error that is [ErrPrune], the copy was made all the same, and is returned:
// only a removal failed. After any other error no copy was made, and all older ones are as they
// were. Two exceptions: the copy may be there, whole, if the answer of the bucket to the last request, for the
// seal, was lost, or a folder could not be synced or listed after it. And under [WithKeepAll] a copy that is
// given up after its seal stays, as nothing is removed.
//
// An error that is [io/fs.ErrPermission] says that the bucket refuses access. [context.Canceled] and the like
// say that ctx has ended, and [ErrStalled] that the bucket does not answer.
//
// A copy that takes more than 12 hours by the clock, as on a machine that slept meanwhile, is given up:
// a day after its beginning another writer may remove it as a leftover.
//
// On a service, Copy takes one request for each 1000 objects that are listed, two for objects that are stored,
// one for what is read, and one or two for each object that it removes. A folder it lists once more, to see
// the copy there. The store goes on meanwhile.
func (c *Copies) Copy(ctx context.Context, src io.WriterTo) (Copy, error) {
	before, err := c.list(ctx)
	if err != nil {
		return Copy{}, fmt.Errorf("genie/blob: copy: list: %w", err)
	}
	swept := c.sweep(ctx, before)
	var made Copy
	name, err := before.newName()
	if err == nil {
		made, err = c.make(ctx, c.prefix+name, src)
	}
	if err != nil {
		return Copy{}, fmt.Errorf("genie/blob: copy: %w", errors.Join(err, swept))
	}
	if err := errors.Join(swept, c.prune(ctx, before, made)); err != nil {
		return made, fmt.Errorf("genie/blob: %w: %w", ErrPrune, err)
	}
	return made, nil
}

// make stores a backup, reads it back and seals it.
func (c *Copies) make(ctx context.Context, key string, src io.WriterTo) (Copy, error) {
	began := time.Now().Round(0)
	r, committed, err := c.put(ctx, key, src, func(n int64) { c.progress(Progress{Storing, key, n, 0}) })
	if err != nil {
		return Copy{}, c.takeBack(ctx, committed, fmt.Errorf("store %s: %w", key, err), key)
	}
	made := Copy{Name: key, Bytes: r.bytes}
	made.Time, _ = timeOf(key[len(c.prefix):])
	r.sum.Sum(made.SHA256[:0])
	if err := c.read(ctx, made, ReadingBack, readOwn); err != nil {
		return Copy{}, c.takeBack(ctx, true, fmt.Errorf("read back: %w", err), key)
	}
	if err := c.seal(ctx, made, began); err != nil {
		return Copy{}, err
	}
	if err := c.checkListed(ctx, made); err != nil {
		return Copy{}, err
	}
	return made, nil
}

// sealLimit is how long a copy may take. An unfinished copy is removed at leftoverAge, and must not be
// sealed then. The half is for clocks that differ. A copy of 50 GB has this time on a line of
// 10 Mbit/s.
const sealLimit = leftoverAge / 2

// seal seals a copy that was read back, unless another writer may have removed it since it was begun.
// After a machine has slept, the seal may arrive late although it was sent in time.
func (c *Copies) seal(ctx context.Context, made Copy, began time.Time) error {
	if err := late(began); err != nil {
		return c.takeBack(ctx, true, err, made.Name)
	}
	if _, committed, err := c.put(ctx, sealOf(made), nothing{}, func(int64) {}); err != nil {
		// If the answer was lost, the copy is sealed or may be soon, so the backup must stay.
		refused := !committed || isDenied(err)
		return c.takeBack(ctx, refused, fmt.Errorf("seal %s: %w", made.Name, err), sealOf(made), made.Name)
	}
	if err := late(began); err != nil {
		return c.takeBack(ctx, true, err, sealOf(made), made.Name)
	}
	return nil
}

// late returns an error if a copy that was begun is not to be sealed any more. began has no monotonic
// clock, which stands still while a machine sleeps.
func late(began time.Time) error {
	if time.Now().Round(0).Sub(began) > sealLimit {
		return fmt.Errorf("given up: more than %v have passed since the copy was begun", sealLimit)
	}
	return nil
}

// takeBackTime is how long an error may be held up by the removal of its backup.
const takeBackTime = 10 * time.Second

// takeBack removes the objects of a backup that was stored and cannot become a copy, and returns
// the error. Without it, a program that may write but not read would add a backup with each attempt, and
// never come to remove any. If ctx has ended, the caller is in a hurry, and a later copy removes the
// backup.
func (c *Copies) takeBack(ctx context.Context, stored bool, err error, keys ...string) error {
	if !stored || c.keep.all || ctx.Err() != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, takeBackTime)
	defer cancel()
	return errors.Join(err, c.remove(ctx, keys...))
}

package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/windevkay/forge/genie"
)

// Restored says what a Restore has done.
type Restored struct {
	Copy       Copy           // that the entries are from
	PassedOver []*DamageError // newer copies that are not whole, newest first
}

// Restore replaces the entries of store by those of the newest copy that is whole, by
// [genie.Store.ReadFrom]: the copy has the length and the SHA-256 of its seal, and is a
// backup, or nothing is replaced. Copies that are not whole are passed over, and Restored
// says which and why.
//
// If Restore returns an error, the store is as it was:
//
//   - [ErrNoCopy], which is [io/fs.ErrNotExist]: the bucket has answered, and there is no copy;
//   - [ErrDamaged]: there are copies, and none is whole; the text has a line for each;
//   - [io/fs.ErrPermission]: the bucket refuses access;
//   - another error: the bucket could not be read, or ctx has ended.
//
// Only the first says that a start with an empty store is right. A copy is not passed over
// because the bucket does not answer or a line cuts the answer, as it may be whole.
func (c *Copies) Restore(ctx context.Context, store *genie.Store) (restored Restored, err error) {
	for range newerAttempts {
		restored, err = c.restoreNewest(ctx, store)
		if !errors.Is(err, ErrRemoved) {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("genie/blob: restore: %w", err)
	}
	return restored, err
}

// newerAttempts is how often a Restore lists the copies anew because a writer has made a newer copy
// and has removed the copy that was about to be read.
const newerAttempts = 10

// restoreNewest is Restore with one listing.
func (c *Copies) restoreNewest(ctx context.Context, store *genie.Store) (Restored, error) {
	l, err := c.list(ctx)
	if err != nil {
		return Restored{}, fmt.Errorf("list: %w", err)
	}
	var restored Restored
	for _, f := range slices.Backward(l.copies) {
		err := c.restore(ctx, store, f.Copy)
		damage, damaged := errors.AsType[*DamageError](err)
		if err == nil {
			restored.Copy = f.Copy
			return restored, nil
		}
		if !damaged {
			return restored, fmt.Errorf("%s: %w", f.Name, err)
		}
		restored.PassedOver = append(restored.PassedOver, damage)
	}
	return restored, c.none(restored)
}

// none returns the error for a prefix without a copy that is whole.
func (c *Copies) none(r Restored) error {
	if len(r.PassedOver) == 0 {
		return fmt.Errorf("%w under %v", ErrNoCopy, c)
	}
	var all []error
	for _, damage := range r.PassedOver {
		all = append(all, damage)
	}
	return fmt.Errorf("no copy of %d is whole: %w", len(all), errors.Join(all...))
}

// restore replaces the entries of store by those of one copy.
func (c *Copies) restore(ctx context.Context, store *genie.Store, copy Copy) error {
	return c.read(ctx, copy, Restoring, func(r io.Reader) error {
		_, err := store.ReadFrom(r)
		return err
	})
}

// RestoreCopy is [Copies.Restore] from a copy that [Copies.List] has returned, such as that of a
// day before a mistake. If the copy is not whole, RestoreCopy returns a [*DamageError], and if
// it is gone, an error that is [ErrRemoved]; the store is as it was.
func (c *Copies) RestoreCopy(ctx context.Context, store *genie.Store, copy Copy) error {
	if err := c.restore(ctx, store, copy); err != nil {
		return fmt.Errorf("genie/blob: restore %s: %w", copy.Name, err)
	}
	return nil
}

package blob

import (
	"context"
	"errors"
	"slices"
	"time"

	"gocloud.dev/gcerrors"
)

// leftoverAge is how long an unfinished copy may take before it is in the way. It is compared
// with the times that the bucket gives, so the clocks of writers do not matter.
const leftoverAge = 24 * time.Hour

// sweep removes old leftovers. They are no copies, so this needs no newer copy, and comes first:
// a full bucket may have room then.
func (c *Copies) sweep(ctx context.Context, l *listing) error {
	if c.keep.all {
		return nil
	}
	var failed []error
	for _, o := range l.leftovers {
		if l.isOld(o.stored) {
			failed = append(failed, c.remove(ctx, o.key))
		}
	}
	return errors.Join(failed...)
}

// prune removes the copies that need not stay now that made is there, and copies that have been
// damaged for a day, as far as the listing shows it.
//
// Invariant: made was read back and is sealed. The listing is older than made, and another
// writer may have removed some of it. That does no harm: the other writer had newer copies
// in place of each.
func (c *Copies) prune(ctx context.Context, before *listing, made Copy) error {
	if c.keep.all {
		return nil
	}
	whole, damaged := before.byHealth()
	var failed []error
	for _, copy := range slices.Concat(damaged, c.keep.spare(append(whole, made))) {
		// The seal goes first: a backup without a seal is a leftover, and a seal without a
		// backup would be a damaged copy.
		failed = append(failed, c.remove(ctx, sealOf(copy), copy.Name))
	}
	return errors.Join(failed...)
}

// byHealth returns the copies that are whole, as far as the listing shows it, and those that have been
// damaged for leftoverAge. Only the first count as copies that are kept.
func (l *listing) byHealth() (whole, damaged []Copy) {
	for _, c := range l.copies {
		if c.whole {
			whole = append(whole, c.Copy)
		} else if l.isOld(c.stored) {
			damaged = append(damaged, c.Copy)
		}
	}
	return whole, damaged
}

// isOld reports whether an object is older than the newest by leftoverAge.
func (l *listing) isOld(stored time.Time) bool { return l.newest.Sub(stored) > leftoverAge }

// remove removes objects in their order, up to the first that fails. An object that another
// writer has removed is no failure.
func (c *Copies) remove(ctx context.Context, keys ...string) error {
	ctx, w := watched(ctx)
	defer w.stop()
	for _, key := range keys {
		err := c.bucket.Delete(ctx, key)
		if err != nil && (gcerrors.Code(err) != gcerrors.NotFound || isDenied(err)) {
			return w.failed(ctx, err)
		}
		w.moved()
	}
	return nil
}

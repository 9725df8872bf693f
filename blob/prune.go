package blob

import (
	"context"
	"errors"
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
	for _, key := range l.old() {
		failed = append(failed, c.remove(ctx, key))
	}
	return errors.Join(failed...)
}

// prune removes the copies that need not stay now that made is there.
//
// Invariant: made was read back and is sealed. The listing is older than made, and another
// writer may have removed some of it. That does no harm: the other writer had newer copies
// in place of each.
func (c *Copies) prune(ctx context.Context, before *listing, made Copy) error {
	var failed []error
	for _, copy := range c.keep.spare(append(before.whole(), made)) {
		// The seal goes first: a backup without a seal is a leftover, and a seal without a
		// backup would be a damaged copy.
		failed = append(failed, c.remove(ctx, sealOf(copy), copy.Name))
	}
	return errors.Join(failed...)
}

// whole returns the copies that the listing does not show to be damaged. The others do not
// count as copies that are kept.
func (l *listing) whole() []Copy {
	var whole []Copy
	for _, f := range l.copies {
		if f.fault == nil {
			whole = append(whole, f.Copy)
		}
	}
	return whole
}

// old returns the keys of leftovers that are older than the newest object by leftoverAge.
func (l *listing) old() []string {
	var keys []string
	for _, o := range l.leftovers {
		if l.newest.Sub(o.stored) > leftoverAge {
			keys = append(keys, o.key)
		}
	}
	return keys
}

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

package blob

import (
	"context"
	"errors"
	"slices"
	"time"

	cloud "gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

const (
	// leftoverAge is when an unfinished copy is in the way. Its writer has given it up by then, see
	// sealLimit.
	leftoverAge = 24 * time.Hour

	// forgottenAge is when an unfinished copy is in the way although no newer object tells its age.
	forgottenAge = 7 * 24 * time.Hour
)

// sweep removes old leftovers. They are no copies, so this needs no newer copy, and comes first:
// a full bucket may have room then.
//
// Invariant: no leftover is removed that its writer can still seal, unless two clocks are wrong, or
// that of this process is a week ahead.
func (c *Copies) sweep(ctx context.Context, l *listing) error {
	if c.keep.all {
		return nil
	}
	var failed []error
	for _, o := range l.leftovers {
		if l.isOld(o.begun, o.stored) {
			failed = append(failed, c.remove(ctx, o.key))
		}
	}
	return errors.Join(failed...)
}

// prune removes the copies that need not stay now that made is there, and old copies that are
// damaged, as far as the listing shows it.
//
// Invariant: made was read back and is sealed. The listing is older than made, and another
// writer may have removed some of it. That does no harm: the other writer had newer copies
// in place of each.
func (c *Copies) prune(ctx context.Context, before *listing, made Copy) error {
	if c.keep.all {
		return nil
	}
	whole, damaged := before.byHealth()
	all := append(whole, sealedCopy{Copy: made, whole: true, stored: time.Now()})
	var failed []error
	for _, copy := range slices.Concat(damaged, c.keep.spare(all)) {
		// The seal goes first: a backup without a seal is a leftover, and a seal without a
		// backup would be a damaged copy.
		failed = append(failed, c.remove(ctx, sealOf(copy), copy.Name))
	}
	return errors.Join(failed...)
}

// byHealth returns the copies that are whole, as far as the listing shows it, and old ones
// that are damaged. Only the first count as copies that are kept.
func (l *listing) byHealth() (whole []sealedCopy, damaged []Copy) {
	for _, c := range l.copies {
		if c.whole {
			whole = append(whole, c)
		} else if l.isOld(c.Time, c.stored) {
			damaged = append(damaged, c.Copy)
		}
	}
	return whole, damaged
}

// isOld reports whether an object is in the way that was begun by the clock of its writer, and was
// stored by that of the bucket.
//
// Two clocks must agree. The time in the name is compared with the clock of this process, and
// the time that the bucket gives with the newest such time. One clock that is wrong, such as that
// of a folder that was ahead for one object, must not remove what another writer is about to seal.
//
// An object that is itself the newest is never old in this way. If a killed process has filled the
// bucket with it, no newer one would ever come. So both times are compared with the clock of this
// process, too, with more room for its being wrong.
func (l *listing) isOld(begun, stored time.Time) bool {
	unfinished, kept := l.began.Sub(begun), l.began.Sub(stored)
	return unfinished > leftoverAge && l.newest.Sub(stored) > leftoverAge ||
		unfinished > forgottenAge && kept > forgottenAge
}

// remove removes objects in their order, up to the first that fails. An object that another
// writer has removed is no failure.
func (c *Copies) remove(ctx context.Context, keys ...string) error {
	ctx, w := watched(ctx, stallLimit)
	defer w.stop()
	for _, key := range keys {
		err := c.bucket.Delete(ctx, key)
		if err != nil && !c.isGone(ctx, key, err) {
			return w.failed(ctx, err)
		}
		w.moved()
	}
	return nil
}

// isGone reports whether a removal has failed because there is no such object. S3 may refuse access to an
// object that is missing, if the right to list is bound to a prefix. The listing tells then. The driver of
// folders lists nothing of a folder that it may not read, and does not refuse what is missing.
func (c *Copies) isGone(ctx context.Context, key string, err error) bool {
	switch {
	case !isDenied(err):
		return gcerrors.Code(err) == gcerrors.NotFound
	case c.folder:
		return false
	}
	found, _, err := c.bucket.ListPage(ctx, cloud.FirstPageToken, 1, &cloud.ListOptions{Prefix: key, Delimiter: "/"})
	return err == nil && (len(found) == 0 || found[0].Key != key)
}

package blob

import "github.com/windevkay/forge/genie"

// A change knows whether a store differs from its last copy.
type change struct {
	copied bool   // a copy was made
	writes uint64 // that the store had applied before that copy was begun
}

// since reports whether the store needs a copy, and returns the writes for done. A store that
// began empty and was never written to needs none: a program that is started again and again
// without its data must not push the copies of the data out. Of a store that has entries, a
// schedule cannot know whether an earlier process has copied them, so its first copy is made.
func (c *change) since(store *genie.Store) (writes uint64, changed bool) {
	s := store.Stats()
	if !c.copied {
		return s.Writes, s.Writes > 0 || s.Entries > 0
	}
	return s.Writes, s.Writes != c.writes
}

// done says that a copy was made that has at least these writes. Writes that came between the
// count and the view of the copy are counted as not copied, so no change is missed.
func (c *change) done(writes uint64) { c.copied, c.writes = true, writes }

package etcd

import (
	"context"
	"iter"

	"github.com/windevkay/forge/genie"
)

// A View is the replica as it was at one revision. See [Store.View].
type View struct{ entries *genie.View }

// Get returns the value that key had, and reports whether key was there.
func (v *View) Get(key string) (string, bool) {
	if key == markKey {
		return "", false
	}
	return v.entries.Get(key)
}

// Len returns the number of entries, in constant time.
func (v *View) Len() int { return v.entries.Len() - marks(v.entries.Get) }

// All returns an iterator over the entries, in no particular order.
func (v *View) All() iter.Seq2[string, string] { return withoutMark(v.entries.All()) }

// Revision returns the revision of the cluster that the View shows.
func (v *View) Revision() int64 { return markIn(v.entries).Revision }

// withoutMark leaves out the entry of the replica itself.
func withoutMark(entries iter.Seq2[string, string]) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for key, value := range entries {
			if key != markKey && !yield(key, value) {
				return
			}
		}
	}
}

// Watch returns an iterator over the changes of the replica, in steps, as [genie.Store.Watch]
// does: each step has a View, which has its revision, and the keys that differ from the step
// before. All writes of one transaction are in one step, and a step may have those of many.
// After the replica was read anew, because the cluster has compacted what it had missed, one
// step leads from the old contents to the new ones, deleted keys included.
//
// The loop ends when ctx is done, and by break, return or a panic. Close does not end it.
func (s *Store) Watch(ctx context.Context) iter.Seq2[*View, iter.Seq[genie.Change]] {
	return func(yield func(*View, iter.Seq[genie.Change]) bool) {
		first := true
		for view, changes := range s.replica.Watch(ctx) {
			visible := visibleChanges(changes)
			// A step that only moves the revision changes nothing that a watcher sees.
			if !first && isEmpty(visible) {
				continue
			}
			first = false
			if !yield(&View{view}, visible) {
				return
			}
		}
	}
}

func visibleChanges(changes iter.Seq[genie.Change]) iter.Seq[genie.Change] {
	return func(yield func(genie.Change) bool) {
		for change := range changes {
			if change.Key != markKey && !yield(change) {
				return
			}
		}
	}
}

func isEmpty(changes iter.Seq[genie.Change]) bool {
	for range changes {
		return false
	}
	return true
}

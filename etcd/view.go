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
func (v *View) Len() int { return v.entries.Len() - 1 }

// All returns an iterator over the entries, in no particular order.
func (v *View) All() iter.Seq2[string, string] { return withoutMark(v.entries.All()) }

// Revision returns the revision of the cluster that the View shows: the View has every write
// up to it, and none after it.
func (v *View) Revision() int64 {
	text, _ := v.entries.Get(markKey)
	return revisionIn(text)
}

// withoutMark leaves out the mark.
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
// does. Each step has a View and the keys that differ from the step before, each once. All writes
// of one transaction are in one step, and a step may have those of many. The first step has all
// that is there as the loop begins.
//
// The cluster may have compacted what this replica had missed. Then the replica is read anew,
// and one step leads from the old contents to the new ones: a key that was deleted meanwhile is
// a Change like any other.
//
// The loop ends when ctx is done, and by break, return or a panic; Close does not end it. The
// body runs on the caller's goroutine and may use the Store. A watcher holds up no writer and no
// other watcher: a slow one sees larger steps.
func (s *Store) Watch(ctx context.Context) iter.Seq2[*View, iter.Seq[genie.Change]] {
	return func(yield func(*View, iter.Seq[genie.Change]) bool) {
		first := true
		for view, changes := range s.replica.Watch(ctx) {
			visible := visibleChanges(changes)
			if !first && isEmpty(visible) {
				continue // only the revision has moved, by writes to other prefixes
			}
			first = false
			if !yield(&View{view}, visible) {
				return
			}
		}
	}
}

// visibleChanges leaves out the change of the mark.
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

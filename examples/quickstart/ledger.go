package main

import (
	"slices"
	"strings"
	"time"

	"github.com/windevkay/forge/genie"
)

// A ledger is what the entries of a store mean to this program:
//
//	file:<path>        the content hash of a file, when it was last read
//	unreported:<path>  the hash at the last report, where there has been a change
//	looked             when the last run began
//
// The path is relative to the folder, with forward slashes. A hash of "" stands
// for no file: an unreported file that had none is new.
//
// Invariant: a file: entry changes only together with its unreported: entry. So
// what a backup has caught, it also knows to be untold.
type ledger struct{ store *genie.Store }

const (
	filePrefix       = "file:"
	unreportedPrefix = "unreported:"
	lookedKey        = "looked"
)

// record notes the hash of a file that was just read. Many goroutines call it at
// once, no two of them for the same file.
func (l ledger) record(path, hash string) {
	// Most files are as they were. Get holds up nobody; Update would.
	if known, _ := l.store.Get(filePrefix + path); known == hash {
		return
	}
	// Two entries, one step. A backup could come between two Sets: it would have
	// the new hash but not that nobody was told, and if this run were killed
	// then, the change would never be reported.
	_ = l.store.Update(func(tx *genie.Tx) error {
		replace(tx, path, hash)
		return nil
	})
}

// recordGone removes the files that do not exist any more.
func (l ledger) recordGone(mayExist func(path string) bool) {
	var gone []string
	for key := range l.store.All() {
		if path, ok := strings.CutPrefix(key, filePrefix); ok && !mayExist(path) {
			gone = append(gone, path)
		}
	}
	_ = l.store.Update(func(tx *genie.Tx) error {
		for _, path := range gone {
			replace(tx, path, "")
		}
		return nil
	})
}

// replace gives path another hash and keeps the one that was last reported.
func replace(tx *genie.Tx, path, hash string) {
	was, _ := tx.Get(filePrefix + path)
	if _, already := tx.Get(unreportedPrefix + path); !already {
		tx.Set(unreportedPrefix+path, was)
	}
	if hash == "" {
		tx.Delete(filePrefix + path)
	} else {
		tx.Set(filePrefix+path, hash)
	}
}

// news is what there is to report.
type news struct {
	since                string // when the last run began, or ""
	added, changed, gone []string
	reverted             []string // changed and changed back: nothing to tell
}

// news reads it all from one view: both entries of a path are of the same moment,
// and a million reads send the store no message.
func (l ledger) news() (n news) {
	_ = l.store.View(func(v *genie.View) error {
		n.since, _ = v.Get(lookedKey)
		for key, was := range v.All() {
			if path, ok := strings.CutPrefix(key, unreportedPrefix); ok {
				now, _ := v.Get(filePrefix + path)
				list := n.kind(was, now)
				*list = append(*list, path)
			}
		}
		return nil
	})
	for _, list := range n.lists() {
		slices.Sort(list)
	}
	return n
}

// kind returns the list for a file whose hash was one and is another now.
func (n *news) kind(was, now string) *[]string {
	switch {
	case was == now:
		return &n.reverted
	case was == "":
		return &n.added
	case now == "":
		return &n.gone
	default:
		return &n.changed
	}
}

func (n *news) lists() [][]string { return [][]string{n.added, n.changed, n.gone, n.reverted} }

// settle notes that n was reported. It is one step as well: no backup has half
// of a report for the next run to repeat, or the time without the rest.
func (l ledger) settle(n news, looked time.Time) {
	_ = l.store.Update(func(tx *genie.Tx) error {
		for _, path := range slices.Concat(n.lists()...) {
			tx.Delete(unreportedPrefix + path)
		}
		tx.Set(lookedKey, looked.UTC().Format(time.RFC3339))
		return nil
	})
}

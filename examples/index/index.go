package main

import (
	"context"
	"iter"
	"strings"
	"sync"

	"github.com/tidwall/btree"

	"github.com/windevkay/forge/genie"
)

// An index has the entries of a store in the order of their keys, which a hash trie
// does not keep. It follows the store by Watch, and may be read by any number of
// goroutines.
type index struct {
	mu    sync.Mutex
	tree  *btree.Map[string, string] // of the newest step; only copies are used
	steps int
	ready chan struct{} // closed after the first step
}

func newIndex() *index {
	return &index{tree: new(btree.Map[string, string]), ready: make(chan struct{})}
}

// follow keeps the index until ctx is done. Each step of a Watch is applied as a whole
// to a copy of the tree, which shares all that does not change. So a reader sees the
// store as it was at the instant of a step: all of an Update, or nothing.
func (x *index) follow(ctx context.Context, store *genie.Store) {
	for _, changes := range store.Watch(ctx) {
		next := x.now()
		for c := range changes {
			if c.Exists {
				next.Set(c.Key, c.New)
			} else {
				next.Delete(c.Key)
			}
		}
		x.mu.Lock()
		x.tree = next
		x.steps++
		first := x.steps == 1
		x.mu.Unlock()
		if first {
			close(x.ready)
		}
	}
}

// now returns a copy of the tree of the newest step, in constant time. A copy shares its
// nodes with the tree until one of the two is written to. Copying writes a mark into the
// tree, so it needs the lock.
func (x *index) now() *btree.Map[string, string] {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.tree.Copy()
}

// between returns the entries from the key from to before the key to, in their order.
func (x *index) between(from, to string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		x.now().Ascend(from, func(key, value string) bool {
			return key < to && yield(key, value)
		})
	}
}

// withPrefix returns the entries whose keys begin with prefix, in their order.
func (x *index) withPrefix(prefix string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		x.now().Ascend(prefix, func(key, value string) bool {
			return strings.HasPrefix(key, prefix) && yield(key, value)
		})
	}
}

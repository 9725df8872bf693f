package genie

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windevkay/forge/genie/internal/trie"
	"github.com/windevkay/forge/genie/internal/within"
)

// A command is a message to the owner. The owner runs apply, which may change
// the state and must be quick: no disk, no clock, no waiting (but see
// updateCmd). The method is unexported, so the commands
// below are all there are.
//
// A command that is answered has a channel of capacity 1 for the answer: the
// owner must never wait for a caller to fetch it. Commands that are asked often
// come from pools, which are fields of the Store and not of the package: a
// channel that was made inside a testing/synctest bubble may not leave it.
type command interface {
	apply(st *state)
}

// A signal says that the owner has applied a command.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

// setCmd is a tell: nobody waits.
type setCmd struct{ key, value string }

func (c *setCmd) apply(st *state) {
	st.entries.Set(c.key, c.value)
	st.changes++
	*c = setCmd{} // its block may stay in the pool
}

// A setBlock holds commands to be used one after the other, each once. Giving
// each back to a pool would cost a third more: the owner often runs on another
// CPU, and pools are per CPU. So 64 Sets share one allocation.
type setBlock struct {
	cmds [64]setCmd
	used int
}

type deleteCmd struct{ key string }

func (c deleteCmd) apply(st *state) {
	if _, existed := st.entries.Delete(c.key); existed {
		st.changes++
	}
}

// getCmd is an ask. Its caller puts it back, once it has the answer.
type getCmd struct {
	key   string
	value string
	ok    bool
	done  signal
}

func (c *getCmd) apply(st *state) {
	c.value, c.ok = st.entries.Get(c.key)
	c.done <- struct{}{}
}

type lenCmd struct{ answer chan int }

func (c lenCmd) apply(st *state) { c.answer <- st.entries.Len() }

// viewCmd asks for the entries as they are now, in constant time.
type viewCmd struct {
	view trie.View
	done signal
}

func (c *viewCmd) apply(st *state) {
	c.view = st.entries.View()
	c.done <- struct{}{}
}

// updateCmd lends the state to a caller and waits until it is given back. So
// the caller's function runs on the caller's own goroutine, where a panic shows
// its stack and runtime.Goexit ends whom it should, and yet as one command:
// nobody else gets a turn meanwhile.
//
// Running the function on the owner would save no time (its caller must wait
// either way) and would have to carry panics from one goroutine to another.
type updateCmd struct {
	lent     *state
	granted  signal
	returned signal
	pool     *sync.Pool
}

func (c *updateCmd) apply(st *state) {
	c.lent = st
	c.granted <- struct{}{}
	<-c.returned
	c.lent = nil
	c.pool.Put(c) // the caller is done with it; only the owner may still be here
}

type backupCmd struct{ answer chan error }

func (c backupCmd) apply(st *state) { st.backup(c.answer) }

// savedCmd comes from the goroutine that wrote a save.
type savedCmd struct {
	save save
	err  error
}

func (c savedCmd) apply(st *state) { st.saved(c.save, c.err) }

type startCmd struct{ interval time.Duration }

func (c startCmd) apply(st *state) { st.start(c.interval) }

// tickCmd comes from the timer of a run.
type tickCmd struct{ run *autoBackup }

func (c tickCmd) apply(st *state) { st.tick(c.run) }

type stopCmd struct{ done signal }

func (c stopCmd) apply(st *state) { st.stop(c.done) }

type errorsCmd struct{ answer chan (<-chan error) }

func (c errorsCmd) apply(st *state) { c.answer <- st.auto.errors }

// A View is the map as it was at one instant. See [Store.View]. Goroutines that
// its function starts may use it too, while the function runs.
type View struct {
	entries trie.View
	ended   atomic.Bool
}

// use returns the entries while the view may be used.
func (v *View) use() trie.View {
	if v.ended.Load() {
		panic("genie: View used after its function has returned")
	}
	return v.entries
}

// Get returns the value key had, and whether it had one.
func (v *View) Get(key string) (string, bool) { return v.use().Get(key) }

// Len returns the number of keys, in constant time.
func (v *View) Len() int { return v.use().Len() }

// All returns an iterator over the entries, in no particular order.
func (v *View) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for key, value := range v.use().All {
			if !yield(key, value) {
				return
			}
		}
	}
}

// A Tx reads and writes the map on behalf of the function of an [Store.Update].
// It must be used by one goroutine at a time.
type Tx struct {
	state    *state // nil when the transaction has ended
	undo     []change
	returned bool // the function has, and not panicked or called Goexit
}

// A change is what a write of a Tx has replaced.
type change struct {
	key, old string
	existed  bool
}

// entries returns the map while the transaction lasts.
func (tx *Tx) entries() *trie.Map {
	if tx.state == nil {
		panic("genie: Tx used after its function has returned")
	}
	return tx.state.entries
}

// Get returns the value of key, with the writes of this transaction, and whether
// there is one.
func (tx *Tx) Get(key string) (string, bool) { return tx.entries().Get(key) }

// Len returns the number of keys, with the writes of this transaction, in
// constant time.
func (tx *Tx) Len() int { return tx.entries().Len() }

// Set gives key a value, if the function returns nil.
func (tx *Tx) Set(key, value string) {
	old, existed := tx.entries().Set(key, value)
	tx.undo = append(tx.undo, change{key, old, existed})
}

// Delete removes key, if it is there and the function returns nil.
func (tx *Tx) Delete(key string) {
	if old, existed := tx.entries().Delete(key); existed {
		tx.undo = append(tx.undo, change{key, old, existed})
	}
}

// end keeps the writes or takes them back, the last one first.
func (tx *Tx) end(committed bool) {
	st := tx.state
	tx.state = nil
	if !tx.returned {
		// The frames of the function stay on the stack while deferred functions
		// of its callers run. Those may call the store again.
		st.mark = within.New()
	}
	if committed {
		st.changes += uint64(len(tx.undo))
		return
	}
	for _, c := range slices.Backward(tx.undo) {
		if c.existed {
			st.entries.Set(c.key, c.old)
		} else {
			st.entries.Delete(c.key)
		}
	}
}

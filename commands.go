package genie

import (
	"slices"
	"sync"
	"time"

	"github.com/windevkay/forge/genie/internal/reentry"
	"github.com/windevkay/forge/genie/internal/trie"
)

// A command is a message to the owner. The owner calls apply, which may change
// the state and must be quick: no disk, no clock, no waiting (updateCmd is the
// exception). apply is unexported, so no other package can add a command.
//
// A command that is answered has a channel of capacity 1 for the reply: the owner
// must never wait until a caller fetches a reply. A reply is sent once, so a larger
// capacity would serve nothing.
type command interface {
	apply(st *state)
}

// A signal tells a goroutine that an event has happened, and carries no data.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

// A pool keeps commands that are sent often, to be sent again. Pools are fields of
// the Store and not of the package: a reply channel that was made in a
// testing/synctest bubble must not leave the bubble.
type pool[C command] struct{ sync.Pool }

func (p *pool[C]) take() C {
	c, ok := p.Get().(C)
	if !ok {
		panic(notMade)
	}
	return c
}

// notMade is the message for a caller that uses the zero Store.
const notMade = "genie: a Store that NewStore has not made; use NewStore"

func (s *Store) makePools() {
	s.gets.New = func() any { return &getCmd{reply: newSignal()} }
	s.sets.New = func() any { return &setCmd{pool: &s.sets} }
	s.views.New = func() any { return &viewCmd{reply: newSignal()} }
	s.updates.New = func() any {
		return &updateCmd{granted: make(chan *state, 1), returned: newSignal(), pool: &s.updates}
	}
}

// setCmd is not answered, so the owner puts it back into its pool.
type setCmd struct {
	key, value string
	pool       *pool[*setCmd]
}

func (c *setCmd) apply(st *state) {
	st.entries.Set(c.key, c.value)
	st.wrote(1)
	*c = setCmd{pool: c.pool} // the pool must not keep the strings alive
	c.pool.Put(c)
}

type deleteCmd struct{ key string }

func (c deleteCmd) apply(st *state) {
	if _, existed := st.entries.Delete(c.key); existed {
		st.wrote(1)
	}
}

// getCmd is put back into its pool by its caller, once the caller has the reply.
type getCmd struct {
	key   string
	value string
	ok    bool
	reply signal
}

func (c *getCmd) apply(st *state) {
	c.value, c.ok = st.entries.Get(c.key)
	c.reply <- struct{}{}
}

type lenCmd struct{ reply chan int }

func (c lenCmd) apply(st *state) { c.reply <- st.entries.Len() }

// viewCmd asks for the entries as they are now, in constant time.
type viewCmd struct {
	view  trie.View
	reply signal
}

func (c *viewCmd) apply(st *state) {
	c.view = st.entries.View()
	c.reply <- struct{}{}
}

// watchCmd asks for the entries if they are newer than version seen, and else for
// the signal of the next write. So the owner keeps no list of watchers: it has one
// channel for all of them, and a watcher that gives up has nothing to take back.
type watchCmd struct {
	seen  uint64
	reply chan sight
}

// A sight is the entries as of version, or the channel that the next write closes.
type sight struct {
	view    trie.View
	version uint64
	next    <-chan struct{} // nil if view is newer
}

func (c watchCmd) apply(st *state) {
	if st.version == c.seen {
		c.reply <- sight{next: st.nextWrite()}
		return
	}
	c.reply <- sight{view: st.entries.View(), version: st.version}
}

// updateCmd lends the state to its caller. The owner waits until the caller gives
// the state back, so the caller's function is one command: no other command is
// applied meanwhile.
//
// The function could run on the owner, which would save a fifth of the time. But
// then a panic in the function would show the owner's stack, and runtime.Goexit,
// which t.FailNow calls, would end the owner and not its caller.
type updateCmd struct {
	granted  chan *state // from the owner to the caller
	returned signal      // from the caller to the owner
	pool     *pool[*updateCmd]
}

// apply is the owner's half.
func (c *updateCmd) apply(st *state) {
	c.granted <- st
	<-c.returned
	c.pool.Put(c)
}

// run is the caller's half. The state is the caller's from granted to returned.
func (c *updateCmd) run(fn func(tx *Tx) error, guard *reentry.Guard) error {
	tx := &Tx{state: <-c.granted}
	committed := false
	guard.Enter()
	defer func() { // for a panic and for runtime.Goexit, too
		tx.end(committed)
		guard.Leave()
		c.returned <- struct{}{}
	}()
	err := fn(tx)
	committed = err == nil
	return err
}

// A Tx reads and writes the map on behalf of the function of a [Store.Update]. A
// Tx must be used by one goroutine at a time.
type Tx struct {
	state *state // nil when the function has returned
	undo  []change
}

// A change is what the last write of a Tx to a key has replaced. The old entry has
// its own key: an equal one, but perhaps cut from another large string.
type change struct {
	key     string
	old     trie.Entry
	existed bool
}

// entries returns the map until the function returns.
func (tx *Tx) entries() *trie.Map {
	if tx.state == nil {
		panic("genie: Tx used after its function has returned")
	}
	return tx.state.entries
}

// Get returns the value of key and reports whether key is in the map. Get sees
// the writes of this transaction.
func (tx *Tx) Get(key string) (string, bool) { return tx.entries().Get(key) }

// Len returns the number of entries, in constant time. Len counts the writes of
// this transaction.
func (tx *Tx) Len() int { return tx.entries().Len() }

// Set gives key a value. The write stands if the function returns nil.
func (tx *Tx) Set(key, value string) {
	old, existed := tx.entries().Replace(trie.Entry{Key: key, Value: value})
	tx.undo = append(tx.undo, change{key, old, existed})
}

// Delete removes key, if key is in the map. The removal stands if the function
// returns nil.
func (tx *Tx) Delete(key string) {
	if old, existed := tx.entries().Remove(key); existed {
		tx.undo = append(tx.undo, change{key, old, existed})
	}
}

// end makes the writes stand, or takes them back, the last first.
func (tx *Tx) end(committed bool) {
	st := tx.state
	tx.state = nil
	if committed {
		st.wrote(len(tx.undo))
		return
	}
	for _, c := range slices.Backward(tx.undo) {
		if c.existed {
			st.entries.Replace(c.old)
		} else {
			st.entries.Delete(c.key)
		}
	}
}

// The commands below are about saving. Their owner's halves are in persist.go.

// backupCmd asks for a save that holds all writes before the command.
type backupCmd struct{ reply chan error }

func (c backupCmd) apply(st *state) { st.backup(c.reply) }

// syncCmd asks for a step, or a save, that holds all writes before the command.
type syncCmd struct{ reply chan error }

func (c syncCmd) apply(st *state) { st.sync(c.reply) }

// joinCmd comes from the goroutine that writes a step, or catches up at the end of a
// save. It asks for the present entries and the waiting callers of Sync.
type joinCmd struct{ reply chan batch }

func (c joinCmd) apply(st *state) { c.reply <- st.join() }

// steppedCmd comes from the goroutine that wrote a step.
type steppedCmd struct{ outcome stepped }

func (c steppedCmd) apply(st *state) { st.stepped(c.outcome) }

// gatheredCmd comes from the timer of a step that waits for more callers of Sync.
type gatheredCmd struct{ wait int }

func (c gatheredCmd) apply(st *state) { st.gathered(c.wait) }

// closeCmd asks for a last save, and then to let go of the file.
type closeCmd struct{ reply chan error }

func (c closeCmd) apply(st *state) { st.close(c.reply) }

// savedCmd comes from the goroutine that wrote a save.
type savedCmd struct {
	save          save
	err, unlocked error
}

func (c savedCmd) apply(st *state) { st.saved(c.save, c.err, c.unlocked) }

// startCmd begins a schedule.
type startCmd struct{ interval time.Duration }

func (c startCmd) apply(st *state) { st.start(c.interval) }

// tickCmd comes from the timer of a schedule.
type tickCmd struct{ schedule *schedule }

func (c tickCmd) apply(st *state) { st.tick(c.schedule) }

// stopCmd ends the schedule that runs.
type stopCmd struct{ reply signal }

func (c stopCmd) apply(st *state) { st.stop(c.reply) }

// errorsCmd asks for the channel of the schedule.
type errorsCmd struct{ reply chan (<-chan error) }

func (c errorsCmd) apply(st *state) { c.reply <- st.schedule.errors }

package genie

import (
	"errors"
	"iter"
	"math"
	"slices"
	"strconv"
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
	s.getOrSets.New = func() any { return &getOrSetCmd{reply: newSignal()} }
	s.swaps.New = func() any { return &swapCmd{reply: newSignal()} }
	s.increments.New = func() any { return &incrementCmd{reply: newSignal()} }
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

// setWithTTLCmd sets an entry with a deadline. A plain Set has a command of its own, with
// less to copy and to clear.
type setWithTTLCmd struct {
	entry trie.Entry
	now   instant
}

func (c setWithTTLCmd) apply(st *state) {
	st.observe(c.now)
	st.entries.Replace(c.entry)
	st.wroteWithDeadline(1)
}

// deadlineAfter returns the deadline of an entry that is set now. Deadlines after the last
// instant of an int64, in the year 2262, become that instant.
func deadlineAfter(now instant, ttl time.Duration) int64 {
	if left := time.Duration(math.MaxInt64 - now.wall); ttl > left {
		return math.MaxInt64
	}
	return now.wall + int64(ttl)
}

// getCmd is put back into its pool by its caller, once the caller has the reply.
type getCmd struct {
	key   string
	now   instant
	value string
	ok    bool
	reply signal
}

func (c *getCmd) apply(st *state) {
	st.observe(c.now)
	c.value, c.ok = st.entries.Get(c.key)
	c.reply <- struct{}{}
}

// deadlineCmd asks for the deadline of key, or 0.
type deadlineCmd struct {
	key   string
	now   instant
	reply chan int64
}

func (c deadlineCmd) apply(st *state) {
	st.observe(c.now)
	c.reply <- st.entries.Deadline(c.key)
}

// getOrSetCmd, swapCmd and incrementCmd read and write one key. The callers put these
// commands back into their pools, as with getCmd.
type getOrSetCmd struct {
	key, value string
	now        instant
	found      bool // the key was in the map, with this value
	reply      signal
}

func (c *getOrSetCmd) apply(st *state) {
	st.observe(c.now)
	if value, ok := st.entries.Get(c.key); ok {
		c.value, c.found = value, true
	} else {
		st.entries.Set(c.key, c.value)
		st.wrote(1)
	}
	c.reply <- struct{}{}
}

type swapCmd struct {
	key, old, new string
	now           instant
	swapped       bool
	reply         signal
}

func (c *swapCmd) apply(st *state) {
	st.observe(c.now)
	if value, ok := st.entries.Get(c.key); ok && value == c.old {
		st.entries.Set(c.key, c.new)
		st.wrote(1)
		c.swapped = true
	}
	c.reply <- struct{}{}
}

type incrementCmd struct {
	key   string
	delta int64
	now   instant
	sum   int64
	err   error
	reply signal
}

// apply keeps the deadline: a counter of a period ends with the period.
func (c *incrementCmd) apply(st *state) {
	st.observe(c.now)
	e, ok := st.entries.Entry(c.key)
	if !ok {
		e.Value = "0"
	}
	if c.sum, c.err = sum(e.Value, c.delta); c.err == nil {
		st.entries.Replace(trie.Entry{Key: c.key, Value: strconv.FormatInt(c.sum, 10), Deadline: e.Deadline})
		st.wroteWithDeadline(1)
	}
	c.reply <- struct{}{}
}

// sum returns value, a decimal integer, plus delta.
func sum(value string, delta int64) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, ErrOverflow
	case err != nil:
		return 0, ErrNotInteger
	case delta > 0 && n > math.MaxInt64-delta, delta < 0 && n < math.MinInt64-delta:
		return 0, ErrOverflow
	}
	return n + delta, nil
}

// lenCmd asks for the number of entries. If entries are over and not removed yet, the
// caller counts, on a view: the owner must not work in proportion to their number.
type lenCmd struct {
	now   instant
	reply chan length
}

// A length is a number of entries. If of is not nil, the number is that of the view.
type length struct {
	entries int
	of      *trie.View
}

func (c lenCmd) apply(st *state) {
	st.observe(c.now)
	c.reply <- st.length()
}

func (st *state) length() length {
	if st.entries.IsDue() {
		v := st.entries.View()
		return length{of: &v}
	}
	return length{entries: st.entries.Len()}
}

func (l length) count() int {
	if l.of != nil {
		return l.of.Len()
	}
	return l.entries
}

// viewCmd asks for the entries as they are now, in constant time.
type viewCmd struct {
	now   instant
	view  trie.View
	reply signal
}

func (c *viewCmd) apply(st *state) {
	st.observe(c.now)
	c.view = st.entries.View()
	c.reply <- struct{}{}
}

// replaceCmd replaces all entries. From the send on, the new entries are the owner's.
type replaceCmd struct {
	entries *trie.Map
	now     instant
	reply   signal
}

func (c replaceCmd) apply(st *state) {
	st.observe(c.now)
	st.entries.Adopt(c.entries)
	st.wrote(1)
	c.reply <- struct{}{}
}

// expireCmd comes from the goroutine of the timer of the next deadline.
type expireCmd struct {
	now   instant
	last  bool // the sender will not send again
	again chan bool
}

func (c expireCmd) apply(st *state) {
	st.observe(c.now)
	c.again <- st.expire(c.last)
}

// watchCmd asks for the entries if they are newer than version seen, and else for
// the signal of the next write. So the owner keeps no list of watchers: it has one
// channel for all of them, and a watcher that gives up has nothing to take back.
type watchCmd struct {
	seen  uint64
	now   instant
	reply chan sight
}

// A sight is the entries as of version, or the channel that the next write closes.
type sight struct {
	view    trie.View
	version uint64
	next    <-chan struct{} // nil if view is newer
}

func (c watchCmd) apply(st *state) {
	st.observe(c.now)
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
	now      instant
	granted  chan *state // from the owner to the caller
	returned signal      // from the caller to the owner
	pool     *pool[*updateCmd]
}

// apply is the owner's half.
func (c *updateCmd) apply(st *state) {
	st.observe(c.now)
	c.granted <- st
	<-c.returned
	c.pool.Put(c)
}

// run is the caller's half. The state is the caller's from granted to returned.
func (c *updateCmd) run(fn func(tx *Tx) error, clock *clock, guard *reentry.Guard) error {
	tx := &Tx{state: <-c.granted, clock: clock}
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
// Tx must be used by one goroutine at a time. No entry ends while the function runs: the
// time of a Tx is the time of the call of Update.
type Tx struct {
	state  *state // nil when the function has returned
	clock  *clock
	writes int

	// undo takes back the writes before the first Clear. cleared is the map before that
	// Clear, or nil, and takes back the Clear and all later writes.
	undo    []change
	cleared *trie.View
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

// ExpiresAt returns the deadline of key and reports whether key is in the map and has a
// deadline. ExpiresAt sees the writes of this transaction.
func (tx *Tx) ExpiresAt(key string) (at time.Time, ok bool) {
	return deadlineTime(tx.entries().Deadline(key))
}

// Len returns the number of entries. Len counts the writes of this transaction. It takes
// constant time, unless entries have ended and are not removed yet.
func (tx *Tx) Len() int { return tx.entries().Len() }

// All returns an iterator over the entries as they are when the loop begins, in no
// particular order. All sees the earlier writes of this transaction. The body of the loop
// may write with tx, and the loop does not see these writes.
func (tx *Tx) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for key, value := range tx.entries().View().All {
			if !yield(key, value) {
				return
			}
			tx.entries() // the loop may outlive the function
		}
	}
}

// Set gives key a value, without a deadline. The write stands if the function returns
// nil.
func (tx *Tx) Set(key, value string) { tx.set(trie.Entry{Key: key, Value: value}) }

// SetWithTTL gives key a value and a deadline, as [Store.SetWithTTL] does. The write
// stands if the function returns nil.
func (tx *Tx) SetWithTTL(key, value string, ttl time.Duration) {
	if ttl <= 0 {
		tx.Delete(key)
		return
	}
	tx.clock.start()
	tx.set(trie.Entry{Key: key, Value: value, Deadline: deadlineAfter(tx.clock.read(), ttl)})
}

func (tx *Tx) set(e trie.Entry) {
	old, existed := tx.entries().Replace(e)
	tx.wrote(change{e.Key, old, existed})
}

// wrote counts a write, and notes how to undo the write.
func (tx *Tx) wrote(c change) {
	tx.writes++
	if tx.cleared == nil {
		tx.undo = append(tx.undo, c)
	}
}

// Delete removes key, if key is in the map. The removal stands if the function
// returns nil.
func (tx *Tx) Delete(key string) {
	if old, existed := tx.entries().Remove(key); existed {
		tx.wrote(change{key, old, existed})
	}
}

// Clear removes all entries, in constant time. The removal stands if the function returns
// nil.
func (tx *Tx) Clear() {
	before := tx.entries().Clear()
	tx.writes++
	if tx.cleared == nil {
		tx.cleared = &before
	}
}

// end makes the writes stand, or takes them back, the last first.
func (tx *Tx) end(committed bool) {
	st := tx.state
	tx.state = nil
	if committed {
		st.observe(tx.clock.now())
		st.wroteWithDeadline(tx.writes)
		return
	}
	if tx.cleared != nil {
		st.entries.Restore(*tx.cleared)
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
type startCmd struct {
	interval time.Duration
	now      time.Time
}

func (c startCmd) apply(st *state) { st.start(c.interval, c.now) }

// tickCmd comes from the timer of a schedule.
type tickCmd struct {
	schedule *schedule
	now      time.Time
}

func (c tickCmd) apply(st *state) { st.tick(c.schedule, c.now) }

// stopCmd ends the schedule that runs.
type stopCmd struct{ reply signal }

func (c stopCmd) apply(st *state) { st.stop(c.reply) }

// errorsCmd asks for the channel of the schedule.
type errorsCmd struct{ reply chan (<-chan error) }

func (c errorsCmd) apply(st *state) { c.reply <- st.schedule.errors }

// statsCmd asks for the figures.
type statsCmd struct {
	now   instant
	reply chan statsReply
}

// The caller counts the entries, as after a lenCmd.
type statsReply struct {
	stats  Stats
	length length
}

func (c statsCmd) apply(st *state) {
	st.observe(c.now)
	c.reply <- statsReply{st.statistics(), st.length()}
}

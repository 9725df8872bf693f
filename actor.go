package genie

import (
	"sync/atomic"
	"time"

	"github.com/windevkay/forge/genie/internal/trie"
)

// mailboxCapacity is how many commands may wait for the owner before senders
// wait too. The capacity must be at least 1: see tell. hashicorp/raft
// gives the channel of its state machine 128. With 512, a Set takes three quarters of
// the time where 64 callers fill the mailbox (docs/design.md), for 8 KiB a store.
// With more, a caller of Get would wait behind as many Sets of a careless writer.
const mailboxCapacity = 512

// The owner is a goroutine that exists only while commands are pending. So an
// idle store has no goroutine, and has no closed state to race with. One counter starts and ends the owner:
//
//	tell:  mailbox <- c;  if pending.Add(1) == 1, start an owner
//	owner: read pending, and receive and apply as many commands
//	       if pending.Add(-as many) == 0, return; else again
//
// Every sender sends before it counts. Therefore:
//
//  1. The owner never waits in its receive. It receives as many commands as were
//     counted, and the mailbox holds at least as many. They need not be the same
//     commands: the owner may receive one whose sender has yet to count.
//  2. At most one owner exists. Only a move of pending from 0 to 1 starts an
//     owner, and a move to 0 is the last thing that an owner does with the store.
//     The sender that starts the next owner has seen that 0, so pending is also
//     the happens-before edge that hands the state over: the state needs no lock.
//  3. No command is lost. Whenever an owner leaves, it has received as many
//     commands as were counted. So the mailbox holds as many commands as there
//     are senders between their send and their count. Each of them will still
//     count, and the first to do so starts the next owner.
//  4. A full mailbox drains: its commands are counted, or their senders are about
//     to count, so an owner runs or is about to. With capacity 0 the first sender
//     would wait for an owner that only this sender can start.
//
// Simpler protocols fail. Counting before the send, and starting the owner after
// the send, deadlocks once other senders fill the mailbox. A flag in place of the
// counter loses the last command. A flag with a second look at len(mailbox) relies
// on an ordering that the Go memory model does not give.
//
// An owner that lingers for the next command costs more than it saves. While
// nothing else runs, a Get takes 0.8 to 0.9 of the time if the owner calls
// runtime.Gosched before it leaves. But Gosched puts the owner behind every
// goroutine that computes, 10 ms each, with callers waiting: beside two such
// goroutines a processor, a Get took 33 ms (bench/ratios, "calls beside"). An owner
// that tell starts is at the front of its processor's queue, so it runs next.

// tell sends c and returns as soon as c is accepted: its place in the order of
// all commands is fixed then.
func (s *Store) tell(c command) {
	if s.mailbox == nil {
		panic(notMade)
	}
	if s.reentry.Inside() {
		panic("genie: store called from inside its own Update; use the Tx")
	}
	s.mailbox <- c
	if s.pending.Add(1) == 1 {
		go s.owner() // a func bound once: go s.loop() would allocate
	}
}

// loop is the owner, from its start to its end.
func (s *Store) loop() {
	for {
		counted := s.pending.Load()
		for range counted {
			(<-s.mailbox).apply(&s.state)
		}
		if s.pending.Add(-counted) == 0 {
			return
		}
	}
}

// A clock is the callers' clock. The owner has none: commands bring the time. In a store
// without deadlines the time does not matter, and no caller looks at a clock.
type clock struct {
	started time.Time // with a monotonic reading; immutable
	matters atomic.Bool
}

// An instant is a time by both clocks of the machine. Deadlines are compared with the wall
// clock, which a person may set back; order tells which of two instants is the later. The
// zero instant is unknown.
type instant struct {
	wall  int64         // nanoseconds since 1970
	order time.Duration // monotonic, and positive
}

// start has callers send the time from now on. A goroutine calls start before it sends
// the first deadline, so every caller that begins after that send has returned sends the
// time.
func (c *clock) start() {
	if !c.matters.Load() { // a store each time would slow down all readers
		c.matters.Store(true)
	}
}

// now returns the time, or the zero instant while the time does not matter.
func (c *clock) now() instant {
	if !c.matters.Load() {
		return instant{}
	}
	return c.read()
}

func (c *clock) read() instant {
	now := time.Now()
	return instant{now.UnixNano(), now.Sub(c.started) + 1}
}

// state belongs to the owner. Commands are the only code that sees it.
type state struct {
	entries *trie.Map
	version uint64 // how many writes stand

	// next is closed by the next write, for all watchers that wait. It is nil while no
	// watcher waits, so writes without a watcher pay for one comparison.
	next    chan struct{}
	expiry  expiry
	backups // when the entries are saved, and where: persist.go
}

// wrote is the one door for writes: it is told of every write that stands, by a
// Set or a Delete at once, by an Update when its function has returned nil. Code
// that must know of writes belongs here and nowhere else.
func (st *state) wrote(writes int) {
	st.version += uint64(writes)
	if st.next != nil && writes > 0 {
		close(st.next)
		st.next = nil
	}
	if next := st.entries.NextDeadline(); next != 0 {
		st.expiry.armFor(next)
	}
}

// nextWrite returns a channel that the next write closes.
func (st *state) nextWrite() <-chan struct{} {
	if st.next == nil {
		st.next = make(chan struct{})
	}
	return st.next
}

// observe moves the time on, for commands that read. Commands may arrive in another order
// than their callers have read the clock, and the time must not go back between them: an
// entry that was over for one caller would be back for the next.
func (st *state) observe(now instant) {
	if now.order > st.expiry.now.order {
		st.expiry.now = now
		st.entries.Advance(now.wall)
	}
}

// An expiry removes the entries that are over. Reads do without: they do not have such
// an entry from its deadline on. The removal frees the memory, and tells watchers and
// backups.
type expiry struct {
	now instant // the latest that a command has brought

	// Invariant: while an entry has a deadline, the timer is armed for it, or for an
	// earlier one, or an expireCmd is on the way.
	timer *time.Timer
	armed int64 // the deadline, or 0

	// after sends an expireCmd after a time. It does not keep the store alive.
	after func(time.Duration) *time.Timer
}

const (
	// maxWait is the longest time to the next look. The timer follows the monotonic
	// clock, deadlines the wall clock: a clock that is set forward, or a machine that
	// has slept, makes entries due before the timer is.
	maxWait = time.Minute

	// A turn removes the entries of one leaf, so a caller waits for few removals. minWait
	// is the pause between two turns while more entries are due: else the owner would
	// spend its time on them.
	minWait = 50 * time.Microsecond
)

// armFor arms the timer for a deadline, unless it is armed for an earlier one.
func (e *expiry) armFor(deadline int64) {
	if e.armed != 0 && e.armed <= deadline {
		return
	}
	if e.timer != nil {
		e.timer.Stop() // an expireCmd that is on the way does no harm
	}
	wait := time.Duration(deadline - e.now.wall)
	e.armed, e.timer = deadline, e.after(min(max(wait, minWait), maxWait))
}

// expire removes the entries of one leaf that are over, and arms the timer for the next.
func (st *state) expire() {
	st.expiry.armed = 0
	st.wrote(st.entries.Expire())
}

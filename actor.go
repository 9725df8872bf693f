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

// The owner is a goroutine that exists only while commands are pending. So an idle store
// has no goroutine, and has no closed state to race with. A flag starts and ends the
// owner:
//
//	tell:  mailbox <- c;  if owned.Swap(true) gives false, start an owner
//	owner: receive and apply commands until the mailbox is empty
//	       owned.Swap(false)
//	       if the mailbox is empty, or owned.Swap(true) gives true, return; else again
//
// Every sender sends before it swaps. All accesses of the flag are swaps, and each swap
// observes the swap before. So everything before a goroutine's swap happens before
// everything behind a later swap. Therefore:
//
//  1. At most one owner exists. If Swap(true) gives false, the calling goroutine has made
//     the flag true, and starts the owner, or goes on as the owner. Only the owner makes
//     the flag false, and is no owner from then on.
//  2. The state needs no lock. The next owner's life begins after a swap that has observed
//     the Swap(false) of the owner before.
//  3. No command is lost. If a sender's Swap(true) gives true, the Swap(false) of the
//     present owner comes later, and the send happens before that Swap(false). So the
//     command has been received, or the owner finds that the mailbox is not empty, and this
//     owner or the next goes on.
//  4. A full mailbox drains: each of its senders has swapped or is about to, so an owner
//     runs or is about to. With capacity 0 the first sender would wait for an owner that
//     only this sender can start.
//  5. The owner never waits for a command: only the owner receives, and no more than the
//     mailbox has.
//
// An owner may find nothing to do, if the owner before has received the command of a sender
// that had yet to swap.
//
// Simpler protocols fail. A swap before the send deadlocks once other senders fill the
// mailbox. With a Load or a Store in place of a swap, nothing orders the send before the
// look at the mailbox. A counter of the commands that were sent and not yet handled is
// correct, too. But the owner then leaves while many senders stand between the send and
// the count: with 512 callers an owner lived for two commands, and a Set took 1.6 times as
// long (docs/design.md).
//
// An owner that lingers for the next command costs more than it saves. While
// nothing else runs, a Get takes 0.8 to 0.9 of the time if the owner calls
// runtime.Gosched before it leaves. But Gosched puts the owner behind every
// goroutine that computes, 10 ms each, with callers waiting: beside two such
// goroutines a processor, a Get took 33 ms (bench/ratios, "calls beside"). An owner
// that tell starts is at the front of its processor's queue, so it runs next.

// groupSize is how many commands the owner receives before the owner applies the first.
const groupSize = 32

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
	if !s.owned.Swap(true) {
		go s.owner() // a func bound once: go s.loop() would allocate
	}
}

// loop is the owner, from its start to its end.
func (s *Store) loop() {
	for {
		s.applyAll()
		s.owned.Swap(false)
		if len(s.mailbox) == 0 || s.owned.Swap(true) {
			return
		}
	}
}

// applyAll applies commands until the mailbox is empty. Only the owner receives, so as many
// commands as the mailbox has can be received without a wait.
func (s *Store) applyAll() {
	for n := len(s.mailbox); n > 0; n = len(s.mailbox) {
		if s.state.entries.IsLarge() {
			s.applyGroup(min(n, groupSize))
			continue
		}
		for range n {
			(<-s.mailbox).apply(&s.state)
		}
	}
}

// applyGroup receives n commands, reads ahead for them, and applies them.
func (s *Store) applyGroup(n int) {
	group := s.group[:n]
	for i := range group {
		group[i] = <-s.mailbox
	}
	if n > 1 {
		s.state.readAhead(group)
	}
	for i, c := range group {
		c.apply(&s.state)
		group[i] = nil
	}
}

// readAhead reads the memory that the Sets and Gets of a group will read. Else the owner
// waits for the memory of each key in turn, and takes twice as long among two million keys
// (bench/ratios, "Set among many").
func (st *state) readAhead(group []command) {
	var keys [groupSize]string
	n := 0
	for _, c := range group {
		switch c := c.(type) {
		case *setCmd:
			keys[n] = c.key
			n++
		case *getCmd:
			keys[n] = c.key
			n++
		}
	}
	st.entries.ReadAhead(keys[:n])
}

// A clock is the callers' clock. The owner has no clock: commands bring the time. In a store
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

func (c *clock) read() instant { return c.at(time.Now()) }

// at returns the instant of now. A wall clock before 1970 counts as its first nanosecond:
// deadlines are positive.
func (c *clock) at(now time.Time) instant {
	return instant{max(now.UnixNano(), 1), now.Sub(c.started) + 1}
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

// wroteWithDeadline is wrote for writes that may have set deadlines. Such a write also
// removes the entries of a leaf that are over: a writer that never pauses would outrun the
// turns of the timer, and the memory would grow.
func (st *state) wroteWithDeadline(writes int) { st.wrote(writes + st.entries.Expire()) }

// nextWrite returns a channel that the next write closes.
func (st *state) nextWrite() <-chan struct{} {
	if st.next == nil {
		st.next = make(chan struct{})
	}
	return st.next
}

// observe moves the time on, for commands that read. Commands may arrive in another order
// than the callers have read the clock. The time must not go back for such a command: an
// entry that was over for a caller would be back for the next.
func (st *state) observe(now instant) {
	if now.order > st.expiry.now.order {
		st.expiry.now = now
		st.entries.Advance(now.wall)
	}
}

// An expiry removes the entries that are over. Reads need no removal: from the deadline on
// no read has the entry. The removal frees the memory, and tells watchers and backups.
type expiry struct {
	now instant // the latest that a command has brought

	// Invariant: while an entry has a deadline, the timer is armed for that deadline or an
	// earlier time, or the goroutine of the timer is at work.
	timer *time.Timer
	armed int64 // the deadline, or 0

	// after has entries removed after a time, and does not keep the store alive.
	after func(time.Duration) *time.Timer
}

const (
	// maxWait is the longest time to the next look. The timer follows the monotonic
	// clock, deadlines the wall clock: a clock that is set forward, or a machine that
	// has slept, makes entries due before the timer is.
	maxWait = time.Minute

	// A turn removes the entries of one leaf, so a caller waits for few removals.
	// The goroutine of the timer asks for turnsAtOnce turns, each when the last has ended,
	// and then makes a pause of minWait, or some more, as timers go. So callers keep most of
	// the owner's time while many entries are due, and a million are gone in three
	// seconds (bench/ratios, "entries that end").
	turnsAtOnce = 16
	minWait     = 100 * time.Microsecond
)

// armFor arms the timer for a deadline, unless the timer is armed for an earlier deadline.
func (e *expiry) armFor(deadline int64) {
	if e.armed != 0 && e.armed <= deadline {
		return
	}
	if e.timer != nil {
		e.timer.Stop() // a goroutine of the timer that is at work already does no harm
	}
	wait := time.Duration(deadline - e.now.wall)
	e.armed, e.timer = deadline, e.after(min(max(wait, minWait), maxWait))
}

// expire removes the entries of a leaf that are over, and reports whether the sender is to
// send again. Else expire arms the timer for the next deadline.
func (st *state) expire(last bool) (again bool) {
	removed := st.entries.Expire()
	if again = !last && st.entries.IsDue(); !again {
		st.expiry.armed = 0
	}
	st.wrote(removed)
	return again
}

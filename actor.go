package genie

import (
	"fmt"
	"runtime"
	"time"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/trie"
	"github.com/windevkay/forge/genie/internal/within"
)

// mailboxCapacity is how many commands may wait for the owner before senders
// wait too. It must be at least 1: see tell. etcd/raft and hashicorp/raft have
// 128 for such channels; 512 takes a third off a Set where 64 callers on two
// CPUs fill the mailbox (docs/design.md), and is 8 KiB.
const mailboxCapacity = 512

// The owner is a goroutine that exists only while commands are pending, so an
// idle store has none, needs no Close, and has no closed state to race with.
// One counter starts and ends it:
//
//	tell:  mailbox <- c;  if pending.Add(1) == 1, start an owner
//	owner: while handled < pending, receive and apply
//	       if pending.Add(-handled) == 0, return; else go on
//
// Why that holds. Every sender sends before it counts, so what is counted is in
// the mailbox, and:
//
//  1. The owner never blocks on its receive: it handles less than is counted.
//  2. There is at most one owner: only a move from 0 to 1 starts one, and the
//     owner's last access to the store is its move to 0. The next owner was
//     started by somebody who saw that 0, so pending is also the
//     happens-before edge that hands the state over: it needs no lock.
//  3. No command is lost: an owner may leave while one is in the mailbox that
//     its sender has not counted yet, but then that sender's own count starts
//     the next owner, for nothing can come between its send and its count.
//  4. A full mailbox drains: each command in it is counted or about to be, so
//     an owner runs or is about to. With capacity 0, though, the first sender
//     would wait for an owner that only it can start.
//
// Simpler protocols that fail: counting before the send but starting the owner
// after it deadlocks once others fill the mailbox; a running flag in place of
// the count loses the last command; the flag with a second look at len(mailbox)
// relies on an ordering that the Go memory model does not give.

// tell sends c and returns as soon as it is accepted: its place in the order of
// all commands is fixed then.
func (s *Store) tell(c command) {
	if mark := within.Mark(s.lent.Load()); mark != 0 && mark.Running() {
		panic("genie: store called from inside its own Update; use the Tx")
	}
	s.mailbox <- c
	if s.pending.Add(1) == 1 {
		go s.run() // a func made once: a method here would allocate
	}
}

// own is the owner.
func (s *Store) own() {
	for {
		handled := s.handle()
		if s.pending.Add(-handled) == 0 {
			return
		}
	}
}

// handle applies what is pending and returns how much that was. When it has
// seen to everything it lets others run once and looks again: the caller just
// answered often has its next command ready, and an owner that stays costs less
// than a new one.
func (s *Store) handle() (handled int64) {
	for lingered := false; ; {
		// Read once for many commands: senders write it all the time.
		counted := s.pending.Load()
		if handled == counted {
			if lingered {
				return handled
			}
			lingered = true
			runtime.Gosched()
			continue
		}
		for ; handled < counted; handled++ {
			(<-s.mailbox).apply(&s.state)
		}
		lingered = false
	}
}

// state is what the owner owns. Commands are the only code that sees it.
type state struct {
	entries *trie.Map

	// changes counts the writes so far; kept is its value at the last save that
	// succeeded, and isKept whether there was one.
	//
	// Invariant: kept <= changes. Equal means the newest backup holds every write.
	changes uint64
	kept    uint64
	isKept  bool

	// mark tells calls from inside an Update from those of others. It is lent with
	// the rest.
	mark within.Mark

	file *durable.File // lent to the goroutine of a save while saving is true

	// saving means that a save is being written. There is one at a time, or an
	// older one could overwrite a newer.
	saving bool
	next   []chan error // callers of Backup that came too late for that save

	auto *autoBackup // the current run, or before a start the next one

	// unsettled counts the runs that were stopped but for which a tick or a
	// save is still to come; stopping is who waits for it to be 0.
	unsettled int
	stopping  []signal

	// tell is for the goroutines the owner starts, never for the owner itself:
	// it would wait for room in the mailbox that only it can make.
	tell func(command)
}

// A save is a backup that a goroutine of its own writes, from a view.
type save struct {
	view    trie.View
	changes uint64
	run     *autoBackup // the run whose tick started it, or nil
	callers []chan error
}

// backup answers with the outcome of a save that starts from now on: one that
// is being written may have missed the caller's latest writes.
func (st *state) backup(answer chan error) {
	st.next = append(st.next, answer)
	if !st.saving {
		st.saveNext()
	}
}

// saveNext starts the save that all of next wait for.
func (st *state) saveNext() {
	callers := st.next
	st.next = nil
	st.write(save{callers: callers}, always)
}

// write starts s. The goroutine ends once it has told the outcome.
func (st *state) write(s save, needed func(*durable.File) bool) {
	st.saving = true
	s.view, s.changes = st.entries.View(), st.changes
	file, tell := st.file, st.tell
	go func() {
		var err error
		if needed(file) {
			err = writeBackup(file, s.view)
		}
		tell(savedCmd{s, err})
	}()
}

func always(*durable.File) bool { return true }

// ifNotIntact is for when nothing was written since the last save. It asks the
// disk, which is not the owner's to do.
func ifNotIntact(file *durable.File) bool { return !file.Intact() }

// saved notes the outcome of s. What failed stays to be done.
func (st *state) saved(s save, err error) {
	st.saving = false
	if err == nil {
		st.kept, st.isKept = s.changes, true
	}
	for _, caller := range s.callers {
		caller <- err
	}
	if s.run != nil {
		s.run.saving = false
		s.run.report(err)
		st.settle(s.run)
	}
	if len(st.next) > 0 {
		st.saveNext()
	}
}

// An autoBackup is one run of automatic backups: from a start to its stop. It
// has its own errors and is named by its own ticks, so that what comes late
// from an old run cannot be taken for the new one's.
type autoBackup struct {
	interval time.Duration // 0 until started
	timer    *time.Timer
	errors   chan error

	// A run that was stopped is settled, and its errors are closed, when
	// neither is true any more.
	ticking bool // the timer is armed, or its tick is on the way
	saving  bool
	stopped bool
}

// errorsCapacity is how many errors wait for somebody to read them.
const errorsCapacity = 10

func newAutoBackup() *autoBackup {
	return &autoBackup{errors: make(chan error, errorsCapacity)}
}

// report passes err on, or drops it: nobody may be reading.
func (a *autoBackup) report(err error) {
	if err == nil {
		return
	}
	select {
	case a.errors <- err:
	default:
	}
}

// start begins the run that waits, if it does.
func (st *state) start(interval time.Duration) {
	if interval <= 0 {
		st.auto.report(fmt.Errorf("genie: start automatic backups every %v: %w", interval, ErrInterval))
		return
	}
	if st.auto.interval > 0 {
		return
	}
	st.auto.interval = interval
	st.arm(st.auto)
}

// arm has one tick sent after the interval. A new timer for each, by the owner,
// rather than a Ticker: there is never more than one tick on the way, and no
// goroutine while there is none.
func (st *state) arm(run *autoBackup) {
	run.ticking = true
	run.timer = time.AfterFunc(run.interval, func() { st.tell(tickCmd{run}) })
}

// tick starts a save unless one is being written. That one may be all there is
// to do; if not, the next tick will do it.
func (st *state) tick(run *autoBackup) {
	run.ticking = false
	if run.stopped {
		st.settle(run)
		return
	}
	if !st.saving {
		run.saving = true
		needed := always
		if st.isKept && st.kept == st.changes {
			needed = ifNotIntact
		}
		st.write(save{run: run}, needed)
	}
	st.arm(run)
}

// stop ends the current run. Whoever stops waits for all that was stopped,
// so that a second call does not return before the first.
func (st *state) stop(done signal) {
	run := st.auto
	run.stopped = true
	if run.timer != nil && run.timer.Stop() {
		run.ticking = false // or else the tick is on its way
	}
	st.auto = newAutoBackup()
	st.unsettled++
	st.stopping = append(st.stopping, done)
	st.settle(run)
}

// settle closes run if it was stopped and nothing of it is to come, and answers
// those who stop if it was the last.
func (st *state) settle(run *autoBackup) {
	if !run.stopped || run.ticking || run.saving {
		return
	}
	close(run.errors)
	st.unsettled--
	if st.unsettled > 0 {
		return
	}
	for _, done := range st.stopping {
		done <- struct{}{}
	}
	st.stopping = nil
}

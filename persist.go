package genie

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"time"

	"github.com/windevkay/forge/genie/internal/codec"
	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/trie"
)

// backups is the part of the state that decides when the entries are saved. Saves
// are written by goroutines that this file starts: only they touch the disk.
type backups struct {
	file *durable.File // lent to the goroutine of a save while saving is true

	// savedVersion is the version that the newest successful save holds. everSaved
	// reports whether a save has succeeded.
	//
	// Invariant: savedVersion <= version. If everSaved and equal, the file holds
	// every write.
	savedVersion uint64
	everSaved    bool

	// saving reports whether a save is being written. Saves are written one at a
	// time, or an older one could replace a newer.
	saving  bool
	waiting []chan error // from callers of Backup, for the save after the present one

	// schedule is the newest run of automatic backups. It runs, or has been
	// stopped, or is still to be started.
	schedule *schedule

	// ending counts the schedules that were stopped and still have a tick or a save
	// to come. stopping are the callers of StopAutoBackup: they wait for 0.
	ending   int
	stopping []signal

	// tell is Store.tell, for the goroutines that the owner starts. The owner itself
	// must not call tell: it would wait for room in the mailbox that only the owner
	// can make.
	tell func(command)
}

// A save is one backup, written by a goroutine of its own from a view.
type save struct {
	view     trie.View
	version  uint64 // of the view
	clean    bool   // nothing was written since the last save
	schedule *schedule
	replies  []chan error
}

// backup has reply answered by a save that begins now or later. A save that is
// being written may have missed the caller's latest writes.
func (st *state) backup(reply chan error) {
	st.waiting = append(st.waiting, reply)
	if !st.saving {
		st.saveForWaiting()
	}
}

// saveForWaiting starts the save that answers all callers in waiting.
func (st *state) saveForWaiting() {
	replies := st.waiting
	st.waiting = nil
	st.startSave(save{replies: replies})
}

// startSave starts the goroutine that writes s. The goroutine ends once it has told
// the owner the outcome.
func (st *state) startSave(s save) {
	st.saving = true
	s.view, s.version = st.entries.View(), st.version
	file, tell := st.file, st.tell
	go func() {
		var err error
		// The file of a clean save may have been replaced by another program.
		// Only the disk knows, and the owner must not ask the disk.
		if !s.clean || !file.Intact() {
			err = writeBackup(file, s.view)
		}
		tell(savedCmd{s, err})
	}()
}

// saved notes the outcome of s. After a failure savedVersion is unchanged, so the
// next tick tries again.
func (st *state) saved(s save, err error) {
	st.saving = false
	if err == nil {
		st.savedVersion, st.everSaved = s.version, true
	}
	for _, reply := range s.replies {
		reply <- err
	}
	if s.schedule != nil {
		s.schedule.saving = false
		s.schedule.report(err)
		st.endIfIdle(s.schedule)
	}
	if len(st.waiting) > 0 {
		st.saveForWaiting()
	}
}

// A schedule is one run of automatic backups, from a start to its stop. A schedule
// has a channel of errors of its own, and its ticks name it, so a late tick of an
// old schedule is not taken for one of the new.
//
// Invariant: a schedule that runs is ticking.
type schedule struct {
	interval time.Duration // 0 until started
	timer    *time.Timer
	errors   chan error
	ticking  bool // the timer is armed, or its tick is on the way
	saving   bool // a save that a tick has started is being written
	stopped  bool
}

// errorsCapacity is how many errors a schedule keeps for a reader. It is part of
// the contract of AutoBackupErrors.
const errorsCapacity = 10

func newSchedule() *schedule {
	return &schedule{errors: make(chan error, errorsCapacity)}
}

// report sends err to the reader of the errors. If the channel is full, err is
// dropped, since there may be no reader.
func (r *schedule) report(err error) {
	if err == nil {
		return
	}
	select {
	case r.errors <- err:
	default:
	}
}

// minInterval keeps a schedule of nanoseconds from taking a processor for itself.
const minInterval = time.Millisecond

// start starts a schedule, unless one runs.
func (st *state) start(interval time.Duration) {
	if st.schedule.stopped {
		st.schedule = newSchedule()
	}
	if interval <= 0 {
		st.schedule.report(fmt.Errorf("genie: start automatic backups every %v: %w", interval, ErrInterval))
		return
	}
	if st.schedule.interval == 0 {
		st.schedule.interval = max(interval, minInterval)
		st.arm(st.schedule)
	}
}

// arm has one tick sent after the interval. The owner makes a new timer for each
// tick, in place of a time.Ticker: so at most one tick is on its way, and between
// ticks no goroutine exists.
func (st *state) arm(r *schedule) {
	r.ticking = true
	r.timer = time.AfterFunc(r.interval, func() { st.tell(tickCmd{r}) })
}

// tick starts a save, unless one is being written. If that one misses a write,
// the next tick sees it.
func (st *state) tick(r *schedule) {
	r.ticking = false
	if r.stopped {
		st.endIfIdle(r)
		return
	}
	if !st.saving {
		r.saving = true
		st.startSave(save{schedule: r, clean: st.everSaved && st.savedVersion == st.version})
	}
	st.arm(r)
}

// stop stops the schedule, if it is not stopped yet. reply is answered when every
// stopped schedule has ended, so a second call does not return before the first.
func (st *state) stop(reply signal) {
	st.stopping = append(st.stopping, reply)
	if r := st.schedule; !r.stopped {
		r.stopped = true
		st.ending++
		if r.timer != nil && r.timer.Stop() {
			r.ticking = false // else the tick is on its way, and ends r
		}
		st.endIfIdle(r)
	}
	st.answerStopping()
}

// endIfIdle ends r, unless r has a tick or a save to come. A schedule that has
// neither was stopped, since one that runs is ticking.
func (st *state) endIfIdle(r *schedule) {
	if !r.ticking && !r.saving {
		close(r.errors)
		st.ending--
		st.answerStopping()
	}
}

// answerStopping answers the callers of StopAutoBackup, if no schedule is ending.
func (st *state) answerStopping() {
	if st.ending > 0 {
		return
	}
	for _, reply := range st.stopping {
		reply <- struct{}{}
	}
	st.stopping = nil
}

// readBackup loads file, which leaves the file empty. If the file cannot be loaded
// whole, nothing is loaded and no file is touched.
func readBackup(file *durable.File) (*trie.Map, error) {
	entries := trie.New()
	err := file.Load(func(name string, r io.Reader) error {
		entries = trie.New()
		err := codec.Decode(r, entries.AddAll)
		if syntax, ok := errors.AsType[*codec.SyntaxError](err); ok {
			return &CorruptError{name, syntax.Offset, syntax.Line, syntax.Key, syntax.Err}
		}
		return err
	})
	if errors.Is(err, ErrCorrupt) {
		return nil, err // a CorruptError names the file itself
	}
	if err != nil {
		return nil, fmt.Errorf("genie: load %s: %w", file.Path(), err)
	}
	if !file.Loaded() { // another process was faster, after all had been read
		return trie.New(), nil
	}
	return entries, nil
}

// writeBackup replaces file by the entries of view, or leaves file as it was.
func writeBackup(file *durable.File, view trie.View) error {
	if err := replace(file, view); err != nil {
		return fmt.Errorf("genie: back up %s: %w", file.Path(), err)
	}
	return nil
}

func replace(file *durable.File, view trie.View) error {
	pending, err := file.Create()
	if err != nil {
		return err
	}
	if _, err := codec.Encode(pending, givingWay(view.All)); err != nil {
		pending.Abort()
		return err
	}
	return pending.Commit()
}

// A turn is a stretch of time for which a backup keeps its processor. The next
// turn is a quarter of the time that the backup was away, within bounds: callers
// keep four fifths of a processor that they share with a backup, and neighbours
// that compute keep a backup waiting for four fifths of the time at most.
const (
	turnShare = 4

	// minTurn is for a processor that nobody else wants: so short that callers who
	// return lose little, so long that giving way costs little.
	minTurn = 10 * time.Microsecond

	// maxTurn is the time after which the Go scheduler would take the processor.
	maxTurn = 10 * time.Millisecond

	// workPerLook is how many bytes are passed on between two looks at the clock.
	// An entry counts as entryWork bytes more than its strings have.
	workPerLook = 4 << 10
	entryWork   = 64
)

// givingWay passes entries on and gives way to other goroutines after each turn. A
// loop that never waits would keep its processor for 10 ms at a time.
//
// This is the only place that yields. runtime.Gosched puts the backup behind every
// goroutine that computes, so a turn is measured in time: after a fixed number of
// entries, a backup beside two computing goroutines a processor took 20 ms an entry.
func givingWay(entries iter.Seq2[string, string]) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		work, turn, began := 0, minTurn, time.Now()
		for key, value := range entries {
			if !yield(key, value) {
				return
			}
			if work += entryWork + len(key) + len(value); work < workPerLook {
				continue
			}
			work = 0
			if end := time.Now(); end.Sub(began) >= turn {
				runtime.Gosched()
				began = time.Now()
				turn = turnAfter(began.Sub(end))
			}
		}
	}
}

func turnAfter(away time.Duration) time.Duration {
	return min(max(away/turnShare, minTurn), maxTurn)
}

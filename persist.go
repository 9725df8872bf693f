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
// are written by goroutines that this file starts. The owner never touches the disk.
type backups struct {
	// file is nil in a store that is read-only. It is lent to the goroutine of a save
	// while saving is true.
	file *durable.File

	beganEmpty bool // NewStore found no entries

	// savedVersion is the version that the newest successful save holds. everSaved
	// reports whether a save has succeeded.
	//
	// Invariant: savedVersion <= version. If everSaved and equal, the newest save
	// holds every write.
	savedVersion uint64
	everSaved    bool

	// saving reports whether a save is being written. Saves are written one at a
	// time, or an older one could replace a newer.
	saving bool
	// waiting and closing are replies to callers of Backup and of Close. The save
	// after the present one answers them.
	waiting, closing []chan error

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

func newBackups(file *durable.File, beganEmpty bool, tell func(command)) backups {
	return backups{file: file, beganEmpty: beganEmpty, schedule: newSchedule(), tell: tell}
}

// A save is one backup, written by a goroutine of its own from a view.
type save struct {
	view     trie.View
	version  uint64    // of the view
	clean    bool      // the last save holds all of the view
	blank    bool      // the store began empty and was never written to
	release  bool      // let go of the file afterwards
	schedule *schedule // whose tick has started the save, or nil

	// Replies to callers of Backup and of Close.
	backups, closes []chan error
}

// backup has reply answered by a save that begins now or later. A save that is
// being written may have missed the caller's latest writes.
func (st *state) backup(reply chan error) {
	if st.file == nil {
		reply <- fmt.Errorf("genie: back up: %w", ErrReadOnly)
		return
	}
	st.waiting = append(st.waiting, reply)
	st.saveForWaiting()
}

// close has reply answered by a save that also lets go of the file.
func (st *state) close(reply chan error) {
	if st.file == nil {
		reply <- nil
		return
	}
	st.closing = append(st.closing, reply)
	st.saveForWaiting()
}

// saveForWaiting starts the save for all callers that wait, unless a save is being
// written: then saved starts the next.
func (st *state) saveForWaiting() {
	if st.saving || len(st.waiting)+len(st.closing) == 0 {
		return
	}
	s := save{
		clean:   len(st.waiting) == 0 && st.clean(),
		release: len(st.closing) > 0,
		backups: st.waiting,
		closes:  st.closing,
	}
	st.waiting, st.closing = nil, nil
	st.startSave(s)
}

// clean reports whether the newest save holds every write.
func (st *state) clean() bool { return st.everSaved && st.savedVersion == st.version }

// startSave starts the goroutine that writes s. The goroutine ends once it has told
// the owner the outcome.
func (st *state) startSave(s save) {
	st.saving = true
	s.view, s.version = st.entries.View(), st.version
	s.blank = st.beganEmpty && st.version == 0
	file, tell := st.file, st.tell
	go func() { tell(savedCmd{s, s.writeTo(file), s.releaseIfAsked(file)}) }()
}

// writeTo writes s to file, on the goroutine of s. A clean save writes only if
// another program has changed the file. Only a look at the disk tells, and the owner
// must not wait for the disk, so the look is made here. After a Close the file may
// belong to another process, so a clean save leaves the file alone.
func (s save) writeTo(file *durable.File) error {
	if s.clean && (!file.Locked() || file.Intact()) {
		return nil
	}
	return writeBackup(file, s)
}

// releaseIfAsked lets go of file if s is the save of a Close.
func (s save) releaseIfAsked(file *durable.File) error {
	if !s.release {
		return nil
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("genie: close %s: %w", file.Path(), err)
	}
	return nil
}

// saved notes the outcome of s: err of the backup, and unlocked of letting go of the
// file. After a failed backup savedVersion is unchanged, so the next tick tries again.
func (st *state) saved(s save, err, unlocked error) {
	st.saving = false
	if err == nil {
		st.savedVersion, st.everSaved = s.version, true
	}
	for _, reply := range s.backups {
		reply <- err
	}
	for _, reply := range s.closes {
		reply <- errors.Join(err, unlocked)
	}
	if s.schedule != nil {
		s.schedule.saving = false
		s.schedule.report(err)
		st.endIfIdle(s.schedule)
	}
	st.saveForWaiting()
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
	if st.file == nil {
		st.schedule.report(fmt.Errorf("genie: start automatic backups: %w", ErrReadOnly))
		return
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
		st.startSave(save{schedule: r, clean: st.clean()})
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
// whole, nothing is loaded and no contents are lost.
func readBackup(file *durable.File) (*trie.Map, error) {
	var found contents
	return found.entriesAfter(file.Path(), file.Load(found.read))
}

// readOnly reads what readBackup would load from path, and touches nothing.
func readOnly(disk durable.FS, path string) (*trie.Map, error) {
	var found contents
	return found.entriesAfter(path, durable.Read(disk, path, found.read))
}

// contents are what a load has read so far.
type contents struct{ entries *trie.Map }

// read reads a file from its start. It is called again if the file has changed
// meanwhile.
func (c *contents) read(name string, r io.Reader) error {
	c.entries = trie.New()
	err := codec.Decode(r, c.entries.AddAll)
	if syntax, ok := errors.AsType[*codec.SyntaxError](err); ok {
		return &CorruptError{name, syntax.Offset, syntax.Line, syntax.Key, syntax.Err}
	}
	return err
}

// entriesAfter returns the entries, given how the load of path has ended.
func (c *contents) entriesAfter(path string, err error) (*trie.Map, error) {
	switch {
	case errors.Is(err, ErrCorrupt):
		return nil, err // a CorruptError names the file itself
	case err != nil:
		return nil, fmt.Errorf("genie: load %s: %w", path, err)
	case c.entries == nil: // there was no file to read
		return trie.New(), nil
	}
	return c.entries, nil
}

// writeBackup replaces file by s, or leaves file as it was.
func writeBackup(file *durable.File, s save) error {
	if err := replace(file, s); err != nil {
		return fmt.Errorf("genie: back up %s: %w", file.Path(), err)
	}
	return nil
}

func replace(file *durable.File, s save) error {
	pending, err := file.Create()
	if err != nil {
		return err
	}
	if _, err := codec.Encode(pending, givingWay(s.view.All)); err != nil {
		pending.Abort()
		return err
	}
	if s.blank {
		return pending.CommitBlank()
	}
	return pending.Commit()
}

// A turn is a stretch of time for which a backup keeps its processor. The next
// turn is a quarter of the time that the backup was away, within bounds: callers
// keep about four fifths of a processor that they share with a backup. Neighbours
// that compute keep a backup waiting for about four fifths of the time, and for more
// if the backup was away for over 40 ms.
const (
	turnShare = 4

	// firstTurn lets a backup of some 30 000 entries end without giving way. On one
	// processor it costs the callers one pause of that length a backup.
	firstTurn = 2 * time.Millisecond

	// minTurn is the turn on a processor that no other goroutine wants. A longer one
	// would delay callers that come back; a shorter one would cost more calls of
	// runtime.Gosched.
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
// goroutine that computes, so a turn is measured in time. When a turn was one entry, a
// backup beside two computing goroutines on one processor took 20 ms an entry.
func givingWay(entries iter.Seq2[string, string]) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		work, turn, began := 0, firstTurn, time.Now()
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

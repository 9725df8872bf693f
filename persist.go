package genie

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/windevkay/forge/genie/internal/codec"
	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/trie"
)

// backups is the part of the state that decides when the entries are saved. Saves
// are written by goroutines that this file starts. The owner never touches the disk.
type backups struct {
	// file is nil in a store that does not save, for the reason noFile. The file is lent to
	// the goroutine of a save while saving is true.
	file   *durable.File
	noFile error

	// source is where NewStore has found the entries, and loaded their number.
	source     Source
	loaded     int
	beganEmpty bool // there were none

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
	// releasing reports whether that save lets go of the file. No step is written
	// meanwhile: a step after the view of the last save would be acknowledged and lost.
	releasing bool
	// waiting and closing are replies to callers of Backup and of Close. The save
	// after the present one answers them.
	waiting, closing []chan error

	journal journal // used if the store has the option WithJournal

	// schedule is the newest run of automatic backups. It runs, or has been
	// stopped, or is still to be started.
	schedule *schedule

	// ending counts the schedules that were stopped and still have a tick or a save
	// to come. stopping are the callers of StopAutoBackup: they wait for 0.
	ending   int
	stopping []signal

	record record
	log    log

	// tell is Store.tell, for the goroutines that the owner starts. The owner itself
	// must not call tell: it would wait for room in the mailbox that only the owner
	// can make.
	tell func(command)
}

func newBackups(file *durable.File, noFile error, l log) backups {
	return backups{file: file, noFile: noFile, log: l, schedule: newSchedule()}
}

// begin notes what NewStore has found.
func (st *state) begin(found loaded, now instant) {
	st.observe(now)
	st.source, st.loaded = found.source, st.entries.Len()
	st.beganEmpty = st.loaded == 0
	st.wrote(0) // which arms the timer of the deadlines
}

// A save is one backup, written by a goroutine of its own from a view.
type save struct {
	view     trie.View
	version  uint64    // of the view
	clean    bool      // the last save holds all of the view
	blank    bool      // the store began empty and was never written to
	release  bool      // let go of the file afterwards
	due      bool      // the steps had grown larger than the object
	schedule *schedule // whose tick has started the save, or nil

	// Replies to callers of Backup and of Close.
	backups, closes []chan error

	// tail is nil if the file is to be plain. Else the save catches up with joined.
	tail   *tail
	joined batch // with the callers of Sync that the save answers
	plain  bool  // the file has no steps

	done  Save // zero if nothing was written
	ended time.Time
	size  fileSize
}

// A fileSize is how many bytes a file has, without and in its steps.
type fileSize struct {
	file        uint64 // numbers the files that steps went into; 0 for a plain file
	base, steps int64
}

// backup has reply answered by a save that begins now or later. A save that is
// being written may have missed the caller's latest writes.
func (st *state) backup(reply chan error) {
	if st.file == nil {
		reply <- fmt.Errorf("genie: back up: %w", st.noFile)
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
// written, or a step in a file that is to be let go of: then saved or stepped starts
// the next.
func (st *state) saveForWaiting() {
	if st.saving || len(st.waiting)+len(st.closing) == 0 || len(st.closing) > 0 && st.journal.stepping {
		return
	}
	s := save{
		clean:   len(st.waiting) == 0 && st.clean() && !st.journal.hasSteps,
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
	st.saving, st.releasing, st.journal.steppedMeanwhile = true, s.release, false
	s.view, s.version = st.entries.View(), st.version
	s.blank = st.beganEmpty && st.version == 0
	if s.release || s.blank {
		s.joined = st.join() // such a save leaves no file to append to, so no step would answer them
	} else {
		s.tail = st.journal.tail
	}
	file, tell, log := st.file, st.tell, st.log
	go func() {
		err := s.writeTo(file, tell)
		log.saved(s.view, s.done, err)
		tell(savedCmd{s, err, s.releaseIfAsked(file)})
	}()
}

// writeTo writes s to file, on the goroutine of s. A clean save writes only if
// another program has changed the file. Only a look at the disk tells, and the owner
// must not wait for the disk, so the look is made here. After a Close the file may
// belong to another process, so a clean save leaves the file alone.
func (s *save) writeTo(file *durable.File, tell func(command)) error {
	if s.clean && (!file.Locked() || file.Intact()) {
		s.plain = true
		return nil
	}
	began := time.Now()
	written, err := s.replace(file, tell)
	s.ended = time.Now()
	if err != nil {
		return fmt.Errorf("genie: back up %s: %w", file.Path(), err)
	}
	if written {
		s.done = Save{At: s.ended, Took: s.ended.Sub(began), Bytes: s.size.base + s.size.steps}
	}
	return nil
}

// releaseIfAsked lets go of file if s is the save of a Close.
func (s *save) releaseIfAsked(file *durable.File) error {
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
	st.saving, st.releasing = false, false
	st.journal.appendable = !s.release && (st.journal.appendable || err == nil && !s.done.At.IsZero())
	if err == nil {
		st.savedVersion, st.everSaved = max(st.savedVersion, s.version), true
		st.journal.hasSteps = !s.plain || st.journal.steppedMeanwhile
	}
	st.record.ended(s.done, err, s.ended, s.size)
	answer(s.backups, err)
	answer(s.closes, errors.Join(err, unlocked))
	answer(s.joined.waiting, err)
	st.journal.saved(err)
	if s.schedule != nil {
		st.tickDone(s.schedule, err)
	}
	if s.due && !st.schedule.stopped {
		st.schedule.report(err) // no caller waits for this save
	}
	st.saveForWaiting()
	st.stepForWaiting()
}

// answer gives every caller that waits the outcome.
func answer(waiting []chan error, err error) {
	for _, reply := range waiting {
		reply <- err
	}
}

// tickDone notes the end of the save or the step that a tick of r has started.
func (st *state) tickDone(r *schedule, err error) {
	r.saving = false
	r.report(err)
	st.endIfIdle(r)
}

// A journal is the part of the backups that writes steps behind the object in the
// file, in place of whole backups. A step has the changes since the last step.
type journal struct {
	// tail is nil in a store without a journal. The goroutine that has the mutex of the
	// path uses it.
	tail *tail

	// syncing are replies to callers of Sync, for the step after the present one. stuck
	// are replies to callers whose step met a file that is not live, for the present save
	// or the next.
	syncing, stuck []chan error

	// stepping reports whether a step is being written. Steps are written one at a time,
	// also while a save is being written: they go into the old file then.
	stepping bool

	// gathering is how many callers of Sync the next step waits for, or 0: the callers of
	// the last step are about to call again. gathers counts the waits, so that a late
	// gatheredCmd does not end a later wait.
	gathering, gathers int

	// appendable reports whether a save has made the file since the load or the last Close.
	// If not, a step needs no look at the disk, and would meet the save that locks the path
	// again after a Close.
	appendable bool

	// hasSteps reports whether the file may have steps. steppedMeanwhile reports whether
	// a step was written since the present save began: perhaps into the new file, which
	// the owner is not told of yet.
	hasSteps, steppedMeanwhile bool

	// failedAt is how large the steps were when a save that was due has failed. The next
	// is due when they are half as large again.
	failedAt int64
}

// A batch is the entries at one instant, with the callers of Sync that wait for them to
// be on disk.
type batch struct {
	view    trie.View
	version uint64
	waiting []chan error
}

// join returns the present entries, with all waiting callers of Sync.
func (st *state) join() batch {
	b := batch{st.entries.View(), st.version, append(st.journal.stuck, st.journal.syncing...)}
	st.journal.stuck, st.journal.syncing = nil, nil
	return b
}

// joinFor is join for a goroutine that has the mutex of the path. All writes that a
// caller of Sync has made are in the view: the owner applied them before it took the
// caller's command.
func joinFor(tell func(command)) batch {
	c := joinCmd{make(chan batch, 1)}
	tell(c)
	return <-c.reply
}

// A tail is the end of the file, where the next step goes on.
type tail struct {
	last  trie.View // the map that the file stands for
	chain codec.Chain
	fileSize
}

const (
	// minSteps is how large the steps grow at least before a whole backup is due.
	minSteps = 1 << 20

	// catchUpLine is about how long a line of a catching-up is. A line is in memory as a
	// whole, here and when the file is read.
	catchUpLine = 4 << 20
)

// isDue reports whether the steps are larger than the object.
func (t *tail) isDue() bool { return t.steps > max(t.base, minSteps) }

// linesTo returns the steps that lead to now, each of about maxLine bytes, and goes on
// behind them. Of several steps, a reader must never find the first alone.
func (t *tail) linesTo(now trie.View, maxLine int) (lines []byte) {
	var step codec.Step
	end := func() {
		var line []byte
		line, t.chain = step.Line(t.chain)
		lines, step = append(lines, line...), codec.Step{}
	}
	for c := range trie.Diff(t.last, now) {
		if c.Exists {
			step.Set(codec.Entry{Key: c.Key, Value: c.New, Deadline: c.Deadline})
		} else {
			step.Delete(c.Key)
		}
		if step.Size() > maxLine {
			end()
		}
	}
	if !step.IsEmpty() {
		end()
	}
	t.last = now
	t.steps += int64(len(lines))
	return lines
}

// sync has reply answered by a step or by a save.
func (st *state) sync(reply chan error) {
	switch {
	case st.file == nil:
		reply <- fmt.Errorf("genie: sync: %w", st.noFile)
	case st.journal.tail == nil:
		st.backup(reply)
	default:
		st.journal.syncing = append(st.journal.syncing, reply)
		st.stepForWaiting()
	}
}

// stepForWaiting starts the step for all callers of Sync that wait, unless a step is
// being written, or the last save before the file is let go of: then stepped or saved
// starts the next.
func (st *state) stepForWaiting() {
	j := &st.journal
	switch {
	case len(j.syncing) == 0 || len(j.syncing) < j.gathering || j.stepping || st.releasing:
	case j.appendable:
		st.startStep(nil)
	default:
		j.stuck, j.syncing = append(j.stuck, j.syncing...), nil
		st.saveInPlaceOfAStep(nil)
	}
}

// gatherShare is the share of the time of a step for which the next step waits for
// callers that are about to come. PostgreSQL has such a wait as its commit_delay.
const gatherShare = 4

// gather has the next step wait for the callers of d to call again, for a quarter of the
// time of d at most. Without the wait, two groups of callers take turns, and each fsync
// serves half of them (bench/ratios, "Sync").
func (st *state) gather(d stepped) {
	j := &st.journal
	if len(d.batch.waiting) < 2 {
		return
	}
	j.gathers++
	j.gathering = len(d.batch.waiting) + len(j.syncing)
	tell, c := st.tell, gatheredCmd{j.gathers}
	time.AfterFunc(d.took/gatherShare, func() { tell(c) })
}

// gathered ends a wait.
func (st *state) gathered(wait int) {
	if wait == st.journal.gathers {
		st.journal.gathering = 0
		st.stepForWaiting()
	}
}

// A stepped is the outcome of a step.
type stepped struct {
	batch    batch
	schedule *schedule // whose tick has started the step, or nil
	saved    Save      // zero if there were no changes
	size     fileSize
	due      bool // a whole backup is due
	ended    time.Time
	took     time.Duration
	err      error
}

// startStep starts the goroutine that writes a step. The goroutine ends once it has
// told the owner the outcome.
func (st *state) startStep(r *schedule) {
	st.journal.stepping, st.journal.gathering = true, 0
	file, tell, t, log := st.file, st.tell, st.journal.tail, st.log
	go func() {
		done := writeStep(file, tell, t, r)
		log.stepped(done)
		tell(steppedCmd{done})
	}()
}

// writeStep appends a step to file. The owner gives the view and the waiting callers
// together, under the mutex of the path: every write of these callers is in the step, and
// no save comes between.
func writeStep(file *durable.File, tell func(command), t *tail, r *schedule) stepped {
	done, began := stepped{schedule: r}, time.Now()
	done.err = file.Append(func() ([]byte, error) {
		done.batch = joinFor(tell)
		before := *t
		line := t.linesTo(done.batch.view, math.MaxInt)
		if int64(len(line)) > max(t.base/2, minSteps) {
			*t = before // a whole backup costs little more and leaves a smaller file
			return nil, durable.ErrNotLive
		}
		done.due, done.size = t.isDue(), t.fileSize
		done.saved.Bytes = int64(len(line))
		return line, nil
	})
	done.ended = time.Now()
	done.took = done.ended.Sub(began)
	switch {
	case done.err == nil && done.wrote():
		done.saved = Save{done.ended, done.took, done.saved.Bytes, true}
	case done.err != nil && !done.isStuck():
		done.err = fmt.Errorf("genie: sync %s: %w", file.Path(), done.err)
	}
	return done
}

// wrote reports whether the step has changes.
func (d *stepped) wrote() bool { return d.saved.Bytes > 0 }

// isStuck reports whether the file is not one to append to: only a whole backup will do.
func (d *stepped) isStuck() bool { return errors.Is(d.err, durable.ErrNotLive) }

// stepped notes the outcome of a step.
func (st *state) stepped(d stepped) {
	j := &st.journal
	j.stepping = false
	j.hasSteps, j.steppedMeanwhile = j.hasSteps || d.wrote(), j.steppedMeanwhile || d.wrote()
	if !d.isStuck() {
		st.record.ended(d.saved, d.err, d.ended, d.size)
	}
	switch {
	case d.isStuck():
		j.stuck = slices.Concat(j.stuck, d.batch.waiting, j.syncing)
		j.syncing = nil
		st.saveInPlaceOfAStep(d.schedule)
	case d.err != nil:
		answer(d.batch.waiting, d.err)
		st.stepTickDone(d)
	default:
		st.savedVersion, st.everSaved = max(st.savedVersion, d.batch.version), true
		answer(d.batch.waiting, nil)
		st.gather(d)
		st.startSaveIfDue(d)
		st.stepTickDone(d)
	}
	st.saveForWaiting()
	st.stepForWaiting()
}

// stepTickDone ends the tick that has started the step, if a tick has.
func (st *state) stepTickDone(d stepped) {
	if d.schedule != nil {
		st.tickDone(d.schedule, d.err)
	}
}

// saveInPlaceOfAStep leaves the stuck callers to the present save, or starts a save, which
// belongs to the tick of r if a tick has started the step.
func (st *state) saveInPlaceOfAStep(r *schedule) {
	switch {
	case !st.saving:
		st.startSave(save{schedule: r})
	case r != nil:
		st.tickDone(r, nil)
	}
}

// startSaveIfDue starts a whole backup if the steps have grown larger than the object.
// Callers of Sync do not wait for it.
func (st *state) startSaveIfDue(d stepped) {
	if d.due && !st.saving && !st.releasing && d.size.steps > st.journal.failedAt+st.journal.failedAt/2 {
		st.journal.failedAt = d.size.steps // until the save has succeeded
		st.startSave(save{due: true})
	}
}

// saved notes the outcome of a save. The save has joined the stuck callers, unless the
// save failed before. Callers that were stuck since try a step again.
func (j *journal) saved(err error) {
	if err != nil {
		answer(j.stuck, err)
		j.stuck = nil
		return
	}
	j.failedAt = 0
	j.syncing = append(j.stuck, j.syncing...)
	j.stuck = nil
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
	next     time.Time // when the next tick is due
	ticking  bool      // the timer is armed, or its tick is on the way
	saving   bool      // a save that a tick has started is being written
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
func (st *state) start(interval time.Duration, now time.Time) {
	if st.schedule.stopped {
		st.schedule = newSchedule()
	}
	if st.file == nil {
		st.schedule.report(fmt.Errorf("genie: start automatic backups: %w", st.noFile))
		return
	}
	if interval <= 0 {
		st.schedule.report(fmt.Errorf("genie: start automatic backups every %v: %w", interval, ErrInterval))
		return
	}
	if st.schedule.interval == 0 {
		st.schedule.interval = max(interval, minInterval)
		st.arm(st.schedule, now)
	}
}

// arm has one tick sent after the interval. The owner makes a new timer for each
// tick, in place of a time.Ticker: so at most one tick is on its way, and between
// ticks no goroutine exists.
func (st *state) arm(r *schedule, now time.Time) {
	r.ticking, r.next = true, now.Add(r.interval)
	r.timer = time.AfterFunc(r.interval, func() { st.tell(tickCmd{r, time.Now()}) })
}

// tick starts a save, unless one is being written. If that one misses a write,
// the next tick sees it.
func (st *state) tick(r *schedule, now time.Time) {
	r.ticking = false
	if r.stopped {
		st.endIfIdle(r)
		return
	}
	switch {
	case st.journal.tail != nil:
		st.tickStep(r)
	case !st.saving:
		r.saving = true
		st.startSave(save{schedule: r, clean: st.clean()})
	}
	st.arm(r, now)
}

// tickStep starts a step, unless one is being written, or nothing was written since the
// load: the file is not one to append to then, and a whole backup would have nothing new.
func (st *state) tickStep(r *schedule) {
	untouched := st.version == 0 && !st.everSaved
	switch {
	case untouched || st.journal.stepping || st.releasing || r.saving:
	case st.journal.appendable:
		r.saving = true
		st.startStep(r)
	case !st.saving:
		r.saving = true
		st.startSave(save{schedule: r})
	}
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

// A record has the part of Stats that is about saves.
type record struct {
	saves, failed uint64
	last          Save
	err           error
	failedAt      time.Time
	size          fileSize
}

// ended notes a save, or nothing if nothing was saved. A step into a new file may be noted
// before the save that has made the file, and a step into the old file after that save.
func (r *record) ended(s Save, err error, at time.Time, size fileSize) {
	switch {
	case err != nil:
		r.failed++
		r.err, r.failedAt = err, at
		return
	case s.At.IsZero():
		return
	}
	r.saves++
	late := size.file < r.size.file || size.file == r.size.file && !s.Step
	if size.file == 0 || !late {
		r.last, r.size = s, size
	}
}

// statistics returns all but the number of entries.
func (st *state) statistics() Stats {
	r := &st.record
	stats := Stats{
		Path: st.log.path, Expiring: st.entries.Timed(), Source: st.source, Loaded: st.loaded,
		Writes: st.version, Unsaved: st.version - st.savedVersion,
		Saves: r.saves, FailedSaves: r.failed, LastSave: r.last, LastError: r.err, LastErrorAt: r.failedAt,
		ObjectBytes: r.size.base, StepBytes: r.size.steps,
	}
	if st.schedule.ticking && !st.schedule.stopped {
		stats.NextBackup = st.schedule.next
	}
	return stats
}

// A log writes a line for each load and each save.
type log struct {
	logger *slog.Logger // nil for none
	path   string
}

func (l log) loaded(found loaded, took time.Duration, err error) {
	switch {
	case l.logger == nil:
	case err != nil:
		l.logger.Error("genie: load", "path", l.path, "error", err)
	default:
		l.logger.Info("genie: load", "path", l.path, "source", string(found.source), "entries", found.entries.Len(), "bytes", found.bytes, "duration", took)
	}
}

func (l log) saved(view trie.View, done Save, err error) {
	kind := "backup"
	if done.Step {
		kind = "step"
	}
	switch {
	case l.logger == nil:
	case err != nil:
		l.logger.Error("genie: save", "path", l.path, "error", err)
	case !done.At.IsZero():
		l.logger.Debug("genie: save", "path", l.path, "kind", kind, "entries", view.Len(), "bytes", done.Bytes, "duration", done.Took)
	}
}

func (l log) stepped(d stepped) {
	if !d.isStuck() {
		l.saved(d.batch.view, d.saved, d.err)
	}
}

// readBackup loads file, which leaves the file empty. If the file cannot be loaded
// whole, nothing is loaded and no contents are lost.
func readBackup(file *durable.File, l log) (loaded, error) {
	return load(file.Path(), l, file.Load)
}

// readOnly reads what readBackup would load from path, and touches nothing.
func readOnly(disk durable.FS, path string, l log) (loaded, error) {
	return load(path, l, func(read func(string, io.Reader) error) error {
		return durable.Read(disk, path, read)
	})
}

// A loaded is what a start has found.
type loaded struct {
	entries *trie.Map
	source  Source
	bytes   int64
}

// load passes a reader of contents to from, and returns what that has read.
func load(path string, l log, from func(read func(name string, r io.Reader) error) error) (loaded, error) {
	began := time.Now()
	var c contents
	err := notLoaded(path, from(c.readNew))
	found := loaded{entries: c.entries, bytes: c.bytes}
	switch {
	case c.entries == nil: // there was no file to read
		found.entries = trie.New()
	case c.bytes > 0 && durable.IsHandOver(c.name):
		found.source = SourceHandOver
	case c.bytes > 0:
		found.source = SourceBackup
	}
	if found.entries.Timed() > 0 {
		found.entries.Advance(time.Now().UnixNano())
	}
	l.loaded(found, time.Since(began), err)
	return found, err
}

// contents are what a load has read so far.
type contents struct {
	name    string // of the file
	entries *trie.Map
	bytes   int64
}

// readNew reads a file from its start. It is called again if the file has changed
// meanwhile.
func (c *contents) readNew(name string, r io.Reader) error {
	*c = contents{name: name, entries: trie.New()}
	_, err := c.read(r)
	return err
}

// read adds what r has to the entries.
func (c *contents) read(r io.Reader) (codec.Extent, error) {
	counted := &countingReader{r: r}
	found, err := codec.DecodeJournal(counted, c.entries.AddAll, c.apply)
	c.bytes = counted.n
	return found, c.corrupt(err)
}

// corrupt returns err, or the CorruptError for a departure from the format.
func (c *contents) corrupt(err error) error {
	if syntax, ok := errors.AsType[*codec.SyntaxError](err); ok {
		return &CorruptError{c.name, syntax.Offset, syntax.Line, syntax.Key, syntax.Err}
	}
	return err
}

// apply carries out a step.
func (c *contents) apply(changes []codec.Change) {
	for _, change := range changes {
		if change.Deleted {
			c.entries.Delete(change.Key)
		} else {
			c.entries.Replace(trie.Entry(change.Entry))
		}
	}
}

// notLoaded says of err that the load of path has ended with it.
func notLoaded(path string, err error) error {
	if err == nil || errors.Is(err, ErrCorrupt) {
		return err // a CorruptError names the file itself
	}
	return fmt.Errorf("genie: load %s: %w", path, err)
}

// readStream reads a backup into an empty map, and returns the number of bytes read. An end
// that looks torn is an error here: a file's may be the remains of a crash, a stream's is a
// loss.
func readStream(r io.Reader, into *trie.Map) (int64, error) {
	c := contents{entries: into}
	found, err := c.read(r)
	if err == nil && found.Torn > 0 {
		err = c.corrupt(found.Fault)
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("genie: read a backup: %w", err)
	}
	return c.bytes, err
}

// A countingReader counts the bytes that were read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// replace replaces file by s, or leaves file as it was, and reports whether s was written.
func (s *save) replace(file *durable.File, tell func(command)) (written bool, err error) {
	pending, err := file.Create()
	if err != nil {
		return false, err
	}
	if s.tail != nil {
		pending.SyncBySlices()
	}
	base, chain, err := codec.EncodeBase(pending, givingWay(s.view.Entries))
	if err != nil {
		pending.Abort()
		return false, err
	}
	s.size.base = base
	switch {
	case s.blank:
		err = pending.CommitBlank()
	case s.tail == nil:
		s.plain = true
		err = pending.Commit()
	default:
		err = s.commitLive(pending, tell, tail{last: s.view, chain: chain, fileSize: s.size})
	}
	return pending.Installed(), err
}

// commitLive puts a backup with end in the place of the file, and goes on behind it.
func (s *save) commitLive(pending *durable.Pending, tell func(command), end tail) error {
	// W4. Catch up with most writes while steps still go into the old file: under the
	// mutex, callers of Sync would wait for as long.
	if err := s.catchUpAhead(pending, tell, &end); err != nil {
		pending.Abort()
		return err
	}
	return pending.CommitLive(func() ([]byte, error) {
		s.joined = joinFor(tell)
		return end.linesTo(s.joined.view, catchUpLine), nil
	}, func() {
		s.version, s.plain = s.joined.version, end.steps == 0
		s.view = s.joined.view
		end.file = s.tail.file + 1
		s.size, *s.tail = end.fileSize, end
	})
}

func (s *save) catchUpAhead(pending *durable.Pending, tell func(command), end *tail) error {
	if err := pending.Sync(); err != nil {
		return err
	}
	now := &viewCmd{reply: newSignal()}
	tell(now)
	<-now.reply
	lines := end.linesTo(now.view, catchUpLine)
	if len(lines) == 0 {
		return nil
	}
	_, err := pending.Write(lines)
	return err
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
// backup beside two computing goroutines on one processor took 20 ms an entry
// (measured once, with such a copy; bench/ratios, "backups beside", is today's).
func givingWay(entries iter.Seq[trie.Entry]) iter.Seq[codec.Entry] {
	return func(yield func(codec.Entry) bool) {
		work, turn, began := 0, firstTurn, time.Now()
		for e := range entries {
			if !yield(codec.Entry(e)) {
				return
			}
			if work += entryWork + len(e.Key) + len(e.Value); work < workPerLook {
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

package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/windevkay/forge/genie"
)

// errorsHeld is how many errors the channel of a schedule holds, as many as that of
// genie.Store.AutoBackupErrors.
const errorsHeld = 10

// A Schedule copies a store again and again. [Copies.Start] makes it.
type Schedule struct {
	// Immutable after Start.
	copies *Copies
	store  *genie.Store
	every  time.Duration
	errors chan error // capacity errorsHeld; closed by run at its end
	quit   chan struct{}
	done   chan struct{}           // closed by run as it returns
	ctx    context.Context         // of all copies
	cancel context.CancelCauseFunc // ends the copy in progress, and gives up the last one

	change change // owned by run

	stop    sync.Once // closes quit
	stopped error     // of the last copy; written by run before done is closed

	mu    sync.Mutex // protects stats
	stats Stats
}

// Stats are figures about a schedule at one instant.
type Stats struct {
	Copies   uint64    // that were made
	LastCopy Copy      // the newest that was made, or the zero Copy
	LastAt   time.Time // when it was sealed
	LastTook time.Duration

	Failed      uint64 // attempts that made no copy
	LastError   error  // also of a removal beside a copy that was made; see [ErrPrune]
	LastErrorAt time.Time

	// Next is when the next copy is due, or the zero Time while one is made and after a Stop.
	Next time.Time
}

// Start copies the store when an interval has passed, and again each time that an interval
// has passed since the end of the last copy. A copy is left out if nothing was written to the
// store since the last copy of this schedule was begun. The first copy is made in any
// case, unless the store is empty and was never written to.
//
// So a machine that is lost takes at most the writes of one interval with it, and those of the time
// that two copies take: a write that comes just after a copy was begun waits for its end, for an
// interval, and for the next copy. Each copy that fails adds its time and an interval.
//
// If a copy fails, all older ones are as they were, the error goes to [Schedule.Errors] and
// [Schedule.Stats], and the next copy tries again.
//
// A schedule has one goroutine and keeps the store alive until [Schedule.Stop]. A nil store, or an
// interval that is not positive, gives an error that is [io/fs.ErrInvalid].
func (c *Copies) Start(store *genie.Store, every time.Duration) (*Schedule, error) {
	if every <= 0 {
		return nil, fmt.Errorf("genie/blob: start: interval %v is not positive: %w", every, fs.ErrInvalid)
	}
	if store == nil {
		return nil, fmt.Errorf("genie/blob: start: nil store: %w", fs.ErrInvalid)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &Schedule{
		copies: c, store: store, every: every,
		errors: make(chan error, errorsHeld),
		quit:   make(chan struct{}), done: make(chan struct{}),
		ctx: ctx, cancel: cancel,
	}
	s.due(time.Now().Add(every))
	go s.run()
	return s, nil
}

// Errors returns the channel on which a schedule reports errors, those of [Copies.Copy]. It
// holds ten. While it is full, additional errors are dropped: the ten oldest stay, and copies
// never wait for a reader. The newest is in [Schedule.Stats]. Stop closes the channel.
func (s *Schedule) Errors() <-chan error { return s.errors }

// Stats returns figures about the schedule.
func (s *Schedule) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Stop ends the schedule. It waits for the copy that is being made, makes a last copy if anything
// was written since, and returns the error of that last copy.
//
// When ctx ends, the copy that is being made is given up: nothing of it is published, the older
// copies are as they were, and Stop returns the error of ctx. If ctx has ended already, no last copy is made.
// Stop then returns the error of ctx, or nil if no last copy was due. In each
// case no goroutine of the schedule is left when Stop returns, and the channel of Errors
// is closed. Stop therefore waits until the driver of the bucket has given up, too.
//
// Stop may be called any number of times. Later calls wait for the first and return its error. The
// copy is given up when the ctx of any of them ends.
func (s *Schedule) Stop(ctx context.Context) error {
	giveUp := func() { s.cancel(ctx.Err()) }
	if ctx.Err() != nil {
		giveUp() // an AfterFunc might come after the last copy
	}
	defer context.AfterFunc(ctx, giveUp)()
	s.stop.Do(func() { close(s.quit) })
	<-s.done
	return s.stopped
}

// run makes copies until the first Stop, and then the last one.
func (s *Schedule) run() {
	defer close(s.done)
	s.untilQuit()
	s.due(time.Time{})
	s.stopped = s.copy()
	s.cancel(nil)
	close(s.errors)
}

func (s *Schedule) untilQuit() {
	timer := time.NewTimer(s.every)
	defer timer.Stop()
	for {
		s.due(time.Now().Add(s.every))
		select {
		case <-timer.C:
		case <-s.quit:
			return
		}
		s.due(time.Time{})
		_ = s.copy() // reported
		timer.Reset(s.every)
	}
}

// copy makes a copy if the store has changed, and reports the result.
func (s *Schedule) copy() error {
	writes, changed := s.change.since(s.store)
	if !changed {
		return nil
	}
	began := time.Now()
	made, err := s.copies.Copy(s.ctx, s.store)
	if err == nil || errors.Is(err, ErrPrune) {
		s.change.done(writes)
	}
	s.report(made, began, err)
	return err
}

// report counts a copy, and passes on its error.
func (s *Schedule) report(made Copy, began time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if err == nil || errors.Is(err, ErrPrune) {
		s.stats.Copies++
		s.stats.LastCopy, s.stats.LastAt, s.stats.LastTook = made, now, now.Sub(began)
	} else {
		s.stats.Failed++
	}
	if err == nil {
		return
	}
	s.stats.LastError, s.stats.LastErrorAt = err, now
	select {
	case s.errors <- err:
	default: // full
	}
}

// due sets the time of the next copy.
func (s *Schedule) due(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Next = at
}

package measure

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Crew is as many readers as writers on one store. Each of their calls is
// timed.
type Crew struct {
	Read, Write Operation
	Size        int           // of each kind
	Pause       time.Duration // of each caller between two calls

	// CallsPerYield is the number of calls after which a caller without a pause
	// yields, or zero. The scheduler takes a goroutine that never yields off its
	// processor for 10 ms, and the longest call would be a call it interrupted,
	// in every store.
	CallsPerYield int
}

// Calls are those of a crew that overlap an event.
type Calls struct {
	reads, writes *latencies
	took          time.Duration // the event
}

// leadIn lets every goroutine get going before the event.
const leadIn = 50 * time.Millisecond

// During runs the event among the calls of the crew and returns the event's
// error with them.
func (c Crew) During(event func() error) (Calls, error) {
	runtime.GC() // no event pays for the garbage of the event before
	readers, writers := &timedCallers{crew: c}, &timedCallers{crew: c}
	readers.start(c.Read)
	writers.start(c.Write)
	time.Sleep(leadIn)
	readers.recording.Store(true)
	writers.recording.Store(true)
	took, err := Timed(event)
	readers.recording.Store(false)
	writers.recording.Store(false)
	return Calls{readers.finish(), writers.finish(), took}, err
}

// PerSecond returns the rate of all calls. Reads and writes count together:
// reads can gain from a backup as much as writes lose, and the reverse.
func (c Calls) PerSecond() float64 {
	return float64(c.reads.total+c.writes.total) / c.took.Seconds()
}

// Took returns the duration of the event.
func (c Calls) Took() time.Duration { return c.took }

// Slowest returns the duration of the longest call.
func (c Calls) Slowest() time.Duration { return max(c.reads.max, c.writes.max) }

// Timed runs f and returns the time it took.
func Timed(f func() error) (time.Duration, error) {
	begin := time.Now()
	err := f()
	return time.Since(begin), err
}

// timedCallers are callers that record the duration of every call during an
// event.
type timedCallers struct {
	crew      Crew
	stop      atomic.Bool
	recording atomic.Bool
	wg        sync.WaitGroup

	mu   sync.Mutex
	seen latencies // guarded by mu; each caller adds its own when it ends
}

func (t *timedCallers) start(op Operation) {
	for caller := range t.crew.Size {
		t.wg.Go(func() { t.loop(caller, op) })
	}
}

// loop records the calls that overlap the event, however long they outlast it.
func (t *timedCallers) loop(caller int, op Operation) {
	var seen latencies
	for call := caller * callerSpread; !t.stop.Load(); call++ {
		overlaps := t.recording.Load()
		begin := time.Now()
		op(caller, call)
		took := time.Since(begin)
		if overlaps || t.recording.Load() {
			seen.record(took)
		}
		t.crew.rest(call)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.merge(&seen)
}

// rest pauses or yields after a call.
func (c Crew) rest(call int) {
	switch {
	case c.Pause > 0:
		time.Sleep(c.Pause)
	case c.CallsPerYield > 0 && call%c.CallsPerYield == 0:
		runtime.Gosched()
	}
}

func (t *timedCallers) finish() *latencies {
	t.stop.Store(true)
	t.wg.Wait()
	return &t.seen
}

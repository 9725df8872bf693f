package measure

import (
	"sync"
	"sync/atomic"
	"time"
)

// An Operation is one call of a store. The callers are numbered from zero; each
// numbers its calls from a start far from the starts of the other callers.
type Operation func(caller, call int)

// callers are goroutines that repeat an operation in a closed loop: each waits
// for the answer before the next call.
type callers struct {
	stop  atomic.Bool
	wg    sync.WaitGroup
	calls atomic.Int64 // written once by each caller, when it ends
}

// callerSpread is the distance between the first calls of two callers. A prime
// lets the callers walk the same keys out of step.
const callerSpread = 7919

func (c *callers) start(n int, op Operation) {
	for caller := range n {
		c.wg.Go(func() { c.loop(caller, op) })
	}
}

// loop calls at least once: on a busy machine a caller may get no processor before the
// window is over, and a rate of zero has no ratio.
func (c *callers) loop(caller int, op Operation) {
	first := caller * callerSpread
	call := first
	for call == first || !c.stop.Load() {
		op(caller, call)
		call++
	}
	c.calls.Add(int64(call - first))
}

// finish ends the loops and returns how many calls they completed.
func (c *callers) finish() int64 {
	c.stop.Store(true)
	c.wg.Wait()
	return c.calls.Load()
}

// Rate lets n callers repeat op for the window and returns their operations per
// second. awaitWrites waits for accepted writes that are not yet applied; the
// clock includes the wait, or the longest queue would win.
func Rate(n int, window time.Duration, op Operation, awaitWrites func()) float64 {
	begin := time.Now()
	var running callers
	running.start(n, op)
	time.Sleep(window)
	calls := running.finish()
	awaitWrites()
	return float64(calls) / time.Since(begin).Seconds()
}

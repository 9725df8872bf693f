package measure

import (
	"sync"
	"sync/atomic"
	"time"
)

// An operation is one call of a store. The turn numbers the calls of a caller,
// starting far from the other callers.
type operation func(turn int)

// callers are goroutines that repeat an operation in a closed loop: each waits
// for its answer before it asks again.
type callers struct {
	stop  atomic.Bool
	wg    sync.WaitGroup
	calls atomic.Int64 // written once by each caller, when it ends
}

// callerSpread keeps the turns of the callers apart. It is a prime, so that they
// walk the same keys out of step.
const callerSpread = 7919

func (c *callers) start(n int, op operation) {
	for caller := range n {
		c.wg.Go(func() { c.loop(caller*callerSpread, op) })
	}
}

func (c *callers) loop(turn int, op operation) {
	first := turn
	for !c.stop.Load() {
		op(turn)
		turn++
	}
	c.calls.Add(int64(turn - first))
}

// finish ends the loops and returns how many calls they completed.
func (c *callers) finish() int64 {
	c.stop.Store(true)
	c.wg.Wait()
	return c.calls.Load()
}

// rate measures n callers for a while, in operations per second. settle waits for
// writes that were accepted but not yet applied; that time counts, or the longest
// queue would win.
func rate(n int, window time.Duration, op operation, settle func()) float64 {
	begin := time.Now()
	var crew callers
	crew.start(n, op)
	time.Sleep(window)
	calls := crew.finish()
	settle()
	return float64(calls) / time.Since(begin).Seconds()
}

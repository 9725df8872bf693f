package measure

import (
	"sync"
	"sync/atomic"
	"time"
)

// ComputingGoroutines compute and never wait, as the rest of a busy program
// does. The scheduler lets each run for 10 ms or more before it runs the next
// one from its global queue. A store that waits in this queue shows here.
type ComputingGoroutines struct {
	stopped atomic.Bool
	wg      sync.WaitGroup
	results atomic.Uint64 // keeps the compiler from leaving the work out
}

// Compute starts n goroutines and returns when they compute.
func Compute(n int) *ComputingGoroutines {
	c := new(ComputingGoroutines)
	for range n {
		c.wg.Go(c.compute)
	}
	time.Sleep(leadIn)
	return c
}

// Stop returns when the goroutines have ended. Further calls do nothing.
func (c *ComputingGoroutines) Stop() {
	c.stopped.Store(true)
	c.wg.Wait()
}

func (c *ComputingGoroutines) compute() {
	const stepsPerLook = 10_000 // some 10 µs
	for x := uint64(1); !c.stopped.Load(); {
		for range stepsPerLook {
			x = scramble(x)
		}
		c.results.Store(x)
	}
}

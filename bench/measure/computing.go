package measure

import (
	"sync"
	"sync/atomic"
	"time"
)

// ComputingGoroutines compute and never wait, like the rest of a busy program.
// The scheduler runs each of them for 10 ms or more before it takes the next
// goroutine from its global queue. A store whose goroutines wait in the global
// queue gets slow.
type ComputingGoroutines struct {
	stopped atomic.Bool
	wg      sync.WaitGroup
	results atomic.Uint64 // keeps the compiler from leaving the work out
}

// Compute starts n goroutines and returns after they have begun to compute.
func Compute(n int) *ComputingGoroutines {
	c := new(ComputingGoroutines)
	for range n {
		c.wg.Go(c.compute)
	}
	time.Sleep(leadIn)
	return c
}

// Stop returns when the goroutines have ended. Stop may be called more than once.
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

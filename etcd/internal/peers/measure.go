package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A column is what is measured, with its unit.
type column string

const (
	oneGet    column = "Get, 1 caller, ns"
	manyGet   column = "Get, 64 callers, ns"
	oneTime   column = "Set, 1 caller, µs"
	oneRate   column = "Set, 1 caller, a second"
	manyTime  column = "Set, 64 callers, µs"
	manyRate  column = "Set, 64 callers, a second"
	otherTime column = "until another replica shows it, µs"
	bytesEach column = "memory of an entry, bytes"
)

var columns = []column{oneGet, manyGet, oneTime, oneRate, manyTime, manyRate, otherTime, bytesEach}

const manyCallers = 64

// A measurement adds a figure to one or more columns.
type measurement func(ctx context.Context, c *contestant, window time.Duration) error

var measurements = []measurement{
	measureGet(1, oneGet), measureGet(manyCallers, manyGet),
	measureSet(1, oneTime, oneRate), measureSet(manyCallers, manyTime, manyRate),
	measureOther, measureBytes,
}

// compete has all contestants take turns: in each round, each measurement is made of each of
// them before the next, and each begins as often as it can.
func compete(ctx context.Context, contestants []*contestant, rounds int, window time.Duration) error {
	for round := range rounds {
		for _, m := range measurements {
			for i := range contestants {
				c := contestants[(i+round)%len(contestants)]
				if err := m(ctx, c, window); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
			}
		}
	}
	return nil
}

func (c *contestant) note(of column, figure float64) { c.figures[of] = append(c.figures[of], figure) }

// measureGet has callers read all keys in turn. The figure is the time in which all callers
// together make one read. The first turn is not counted: a cache that lets go of what was
// overwritten asks the server there.
func measureGet(callers int, times column) measurement {
	return func(_ context.Context, c *contestant, window time.Duration) error {
		if err := c.readAll(); err != nil {
			return err
		}
		var reads atomic.Int64
		began := time.Now()
		err := inParallel(callers, func(int) error {
			n, err := c.readFor(window)
			reads.Add(n)
			return err
		})
		c.note(times, float64(time.Since(began).Nanoseconds())/float64(reads.Load()))
		return err
	}
}

// readFor reads for a while, and each key at least once. It returns how many reads it has made.
func (c *contestant) readFor(window time.Duration) (reads int64, err error) {
	for end := time.Now().Add(window); time.Now().Before(end) || reads == 0; {
		if err := c.readAll(); err != nil {
			return reads, err
		}
		reads += int64(len(c.keys))
	}
	return reads, nil
}

func (c *contestant) readAll() error {
	for _, key := range c.keys {
		if _, ok := c.here.Get(key); !ok {
			return fmt.Errorf("the replica has no %s", key)
		}
	}
	return nil
}

// measureSet has callers overwrite keys. The time is the median of their calls.
func measureSet(callers int, times, rates column) measurement {
	return func(ctx context.Context, c *contestant, window time.Duration) error {
		took := make([][]float64, callers)
		began := time.Now()
		err := inParallel(callers, func(caller int) (err error) {
			took[caller], err = c.setFor(ctx, window)
			return err
		})
		elapsed := time.Since(began)
		if err != nil {
			return err
		}
		all := slices.Concat(took...)
		c.note(times, median(all))
		c.note(rates, float64(len(all))/elapsed.Seconds())
		// Requests that are under way must not be in the next measurement.
		return errors.Join(c.settle(ctx, c.here), c.settle(ctx, c.there))
	}
}

// setFor calls Set for a while, and at least once. It returns the microseconds of each call.
func (c *contestant) setFor(ctx context.Context, window time.Duration) (took []float64, err error) {
	for end := time.Now().Add(window); time.Now().Before(end) || len(took) == 0; {
		value := c.value()
		key := c.keys[int(c.writes.Load())%len(c.keys)]
		began := time.Now()
		if err := c.here.Set(ctx, key, value); err != nil {
			return nil, err
		}
		took = append(took, microseconds(time.Since(began)))
	}
	return took, nil
}

// measureOther takes the time from the call of a Set until another replica shows the value.
func measureOther(ctx context.Context, c *contestant, window time.Duration) error {
	var took []float64
	for end := time.Now().Add(window); time.Now().Before(end) || len(took) == 0; {
		one, err := c.timeToOther(ctx, c.keys[len(took)%len(c.keys)])
		if err != nil {
			return err
		}
		took = append(took, microseconds(one))
	}
	c.note(otherTime, median(took))
	return nil
}

func (c *contestant) timeToOther(ctx context.Context, key string) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends Shows if Set fails
	value := c.value()
	shown := make(chan sight, 1)
	began := time.Now()
	go func() {
		err := c.there.Shows(ctx, key, value)
		shown <- sight{time.Now(), err}
	}()
	if err := c.here.Set(ctx, key, value); err != nil {
		return 0, err
	}
	s := <-shown
	return s.at.Sub(began), s.err
}

// A sight is the end of a call of Shows.
type sight struct {
	at  time.Time
	err error
}

// measureBytes takes what leaves the heap with a replica, without what leaves it with one of an
// empty keyspace, which is that of connections. The heap that comes with a replica would be more: the
// server runs in the same process, and keeps for a while what it has read for the replica.
//
// The figure is the median of three, because any of the servers may let go of megabytes meanwhile.
func measureBytes(ctx context.Context, c *contestant, _ time.Duration) error {
	var found [3]float64
	for i := range found {
		full, err := c.heapOf(ctx, shared)
		if err != nil {
			return err
		}
		none, err := c.heapOf(ctx, empty)
		if err != nil {
			return err
		}
		found[i] = float64(full-none) / float64(len(c.keys))
	}
	c.note(bytesEach, median(found[:]))
	return nil
}

func (c *contestant) heapOf(ctx context.Context, keyspace string) (int64, error) {
	r, err := c.server.Connect(ctx, c.server.Address(), keyspace)
	if err != nil {
		return 0, err
	}
	with := steadyHeap()
	if err := r.Close(); err != nil { // the last use of r, so the next heap is without it
		return 0, err
	}
	return with - steadyHeap(), nil
}

// steadyHeap waits until the heap keeps its size: goroutines of clients and servers let go of what
// they had a moment after a Connect or a Close.
func steadyHeap() int64 {
	const steady = 10 << 10 // bytes; a byte an entry, with 10 000 of them
	last := heap()
	for range 50 {
		time.Sleep(20 * time.Millisecond)
		now := heap()
		if max(last-now, now-last) < steady {
			return now
		}
		last = now
	}
	return last // a server is at work; the range of the rounds will show it
}

// heap collects twice, because a sync.Pool keeps what it has through one collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// inParallel calls f on so many goroutines, and returns their errors, joined.
func inParallel(n int, f func(i int) error) error {
	var group sync.WaitGroup
	failures := make([]error, n)
	for i := range n {
		group.Go(func() { failures[i] = f(i) })
	}
	group.Wait()
	return errors.Join(failures...)
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

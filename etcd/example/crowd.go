package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// visitors is how many send requests at once.
const visitors = 9

func name(visitor int) string { return fmt.Sprint("visitor ", visitor) }

// A crowd is visitors that send requests, one after the other, until end.
type crowd struct {
	answered atomic.Int64
	unknown  atomic.Int64 // tries whose outcome was unknown
	longest  atomic.Int64 // nanoseconds of the slowest request
	stop     chan struct{}
	work     sync.WaitGroup

	mu  sync.Mutex // guards err
	err error
}

// admit starts the visitors.
func (t *tour) admit(ctx context.Context) *crowd {
	c := &crowd{stop: make(chan struct{})}
	for v := range visitors {
		c.work.Go(func() { c.fail(c.browse(ctx, t, v)) })
	}
	return c
}

// browse has one visitor send requests, each to the next replica.
func (c *crowd) browse(ctx context.Context, t *tour, visitor int) error {
	if err := logIn(ctx, t.replicas[visitor%len(t.replicas)], name(visitor)); err != nil {
		return err
	}
	for n := 1; ; n++ {
		select {
		case <-c.stop:
			return nil
		default:
		}
		begun := time.Now()
		replica := t.replicas[(visitor+n)%len(t.replicas)]
		_, unknown, err := visit(ctx, replica, name(visitor), fmt.Sprint("request ", n))
		if err != nil {
			return err
		}
		c.unknown.Add(int64(unknown))
		c.took(time.Since(begun))
		c.answered.Add(1)
	}
}

func (c *crowd) took(d time.Duration) {
	for {
		old := c.longest.Load()
		if int64(d) <= old || c.longest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (c *crowd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errors.Join(c.err, err)
}

func (c *crowd) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// await waits until n more requests are answered.
func (c *crowd) await(ctx context.Context, n int64) error {
	for until := c.answered.Load() + n; c.answered.Load() < until; {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.failure(); err != nil {
			return err
		}
	}
	return nil
}

// lost tells how many tries had an unknown outcome.
func (c *crowd) lost() string {
	if n := c.unknown.Load(); n > 0 {
		return fmt.Sprintf("%d tries had an unknown outcome. The next try looked, and counted what was not counted.", n)
	}
	return "No try had an unknown outcome: where an answer was lost, Update looks for its transaction."
}

// end lets the visitors finish, and returns the error of the first that failed.
func (c *crowd) end() error {
	close(c.stop)
	c.work.Wait()
	return c.failure()
}

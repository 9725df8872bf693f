package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// A contestant is a system at work: its server, two replicas that take part, and its figures.
type contestant struct {
	system
	server      server
	here, there replica
	keys        []string
	writes      atomic.Int64 // so far, to give each a value of its own

	figures map[column][]float64 // a figure for each round
	words   [2]string            // after a cut, and after one with the history gone
}

// The keyspaces of the measurements. Those of the cuts have names of their own.
const (
	shared = "shared"
	empty  = "empty"
)

// enter starts a system and fills its keyspace.
func enter(ctx context.Context, s system, folder string, keys []string) (_ *contestant, err error) {
	folder = filepath.Join(folder, "data")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	c := &contestant{system: s, keys: keys, figures: make(map[column][]float64)}
	defer func() {
		if err != nil {
			c.leave()
		}
	}()
	if c.server, err = s.start(folder); err != nil {
		return nil, err
	}
	for _, r := range []*replica{&c.here, &c.there} {
		if *r, err = c.server.Connect(ctx, c.server.Address(), shared); err != nil {
			return nil, err
		}
	}
	return c, c.fill(ctx)
}

// fill writes each key once, and waits until both replicas have all.
func (c *contestant) fill(ctx context.Context) error {
	each := func(caller int) error {
		for i := caller; i < len(c.keys); i += manyCallers {
			if err := c.here.Set(ctx, c.keys[i], c.value()); err != nil {
				return err
			}
		}
		return nil
	}
	if err := inParallel(manyCallers, each); err != nil {
		return err
	}
	for _, r := range []replica{c.here, c.there} {
		if err := c.settle(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until a replica shows all that this one has written so far.
func (c *contestant) settle(ctx context.Context, r replica) error {
	value := c.value()
	if err := c.here.Set(ctx, c.keys[0], value); err != nil {
		return err
	}
	return r.Shows(ctx, c.keys[0], value)
}

// value returns a new value of 100 bytes.
func (c *contestant) value() string { return fmt.Sprintf("%0100d", c.writes.Add(1)) }

func (c *contestant) leave() {
	for _, r := range []replica{c.here, c.there} {
		if r != nil {
			r.Close()
		}
	}
	if c.server != nil {
		c.server.Close()
	}
}

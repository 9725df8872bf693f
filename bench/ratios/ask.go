package main

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/windevkay/forge/genie"
)

// channel is the bare thing: a goroutine that answers each message it receives.
type channel struct{ requests chan chan struct{} }

func startChannel() channel {
	c := channel{make(chan chan struct{})}
	go func() {
		for answer := range c.requests {
			answer <- struct{}{}
		}
	}()
	return c
}

func (c channel) stop() { close(c.requests) }

// roundTrips returns the ns per round trip of that many callers, each with an
// answer channel of its own.
func (c channel) roundTrips(callers, total int) float64 {
	answers := make([]chan struct{}, callers)
	for i := range answers {
		answers[i] = make(chan struct{})
	}
	return perOp(callers, total, func(i int) {
		answer := answers[i%callers]
		c.requests <- answer
		<-answer
	})
}

const asks = 400_000

// asksOf returns the medians of a round trip, a Get and a Set.
func asksOf(f *fixture, callers int) []float64 {
	c := startChannel()
	defer c.stop()
	return medians(
		func() float64 { return c.roundTrips(callers, asks) },
		func() float64 { return perOp(callers, asks, func(i int) { f.Get(f.keys[i%len(f.keys)]) }) },
		func() float64 { return perOp(callers, asks, func(i int) { f.Set(f.keys[i%len(f.keys)], "v") }) },
	)
}

func askAndTell(t *table) error {
	f, err := newFixture(1000)
	if err != nil {
		return err
	}
	defer f.close()
	for _, callers := range []int{1, 64} {
		m := asksOf(f, callers)
		t.ratio(fmt.Sprintf("Get, %d callers, against a channel round trip", callers), m[1], m[0], "ns", 1.3)
		t.ratio(fmt.Sprintf("Set, %d callers, against a channel round trip", callers), m[2], m[0], "ns", 0.6)
	}
	return nil
}

// guardAsks fails when an ask has become slow for certain: three times in a row
// over twice what is claimed.
func guardAsks() error {
	f, err := newFixture(1000)
	if err != nil {
		return err
	}
	defer f.close()
	for range 3 {
		m := asksOf(f, 1)
		get, set := m[1]/m[0], m[2]/m[0]
		fmt.Printf("Get is %.2f channel round trips (at most 2.6), Set %.2f (at most 1.2)\n", get, set)
		if get <= 2.6 && set <= 1.2 {
			return nil
		}
	}
	return fmt.Errorf("asks and tells have become slow")
}

// viewsOfAnySize compares views of stores of several sizes.
func viewsOfAnySize(t *table) error {
	sizes := []int{1_000, 100_000, 1_000_000, 4_000_000}
	measures := make([]func() float64, len(sizes))
	for i, n := range sizes {
		f, err := newFixture(n)
		if err != nil {
			return err
		}
		defer f.close()
		measures[i] = func() float64 {
			return perOp(1, 100_000, func(int) { _ = f.View(func(*genie.View) error { return nil }) })
		}
	}
	m := medians(measures...)
	for i, n := range sizes {
		t.ratio(fmt.Sprintf("a view of %d keys, against one of %d", n, sizes[0]), m[i], m[0], "ns", 2)
	}
	return nil
}

// readsInView compares reads on all processors: in views, and under RWMutex.
func readsInView(t *table) error {
	for _, n := range []int{1_000, 1_000_000} {
		f, err := newFixture(n)
		if err != nil {
			return err
		}
		defer f.close()
		locked := struct {
			sync.RWMutex
			m map[string]string
		}{m: f.Snapshot()}
		var found atomic.Int64
		const each = 1000
		m := medians(
			func() float64 {
				return perOp(2, 2000, func(i int) {
					_ = f.View(func(v *genie.View) error {
						hits := 0
						for j := range each {
							if _, ok := v.Get(f.keys[(i*each+j)%n]); ok {
								hits++
							}
						}
						found.Add(int64(hits))
						return nil
					})
				}) / each
			},
			func() float64 {
				return perOp(2, 2000, func(i int) {
					hits := 0
					for j := range each {
						locked.RLock()
						_, ok := locked.m[f.keys[(i*each+j)%n]]
						locked.RUnlock()
						if ok {
							hits++
						}
					}
					found.Add(int64(hits))
				}) / each
			},
		)
		if found.Load() == 0 {
			return fmt.Errorf("nothing was found")
		}
		t.ratio(fmt.Sprintf("a key read in View of %d, against RWMutex", n), m[0], m[1], "ns", 0.4)
	}
	return nil
}

// keysInUpdate compares a key written in an Update of 1000 with one Set.
func keysInUpdate(t *table) error {
	f, err := newFixture(100_000)
	if err != nil {
		return err
	}
	defer f.close()
	const each = 1000
	m := medians(
		func() float64 {
			return perOp(1, 200, func(i int) {
				_ = f.Update(func(tx *genie.Tx) error {
					for j := range each {
						key := f.keys[(i*each+j)%len(f.keys)]
						old, _ := tx.Get(key)
						tx.Set(key, old)
					}
					return nil
				})
			}) / each
		},
		func() float64 { return perOp(1, 200_000, func(i int) { f.Set(f.keys[i%len(f.keys)], "v") }) },
		func() float64 {
			return perOp(1, 50_000, func(i int) {
				_ = f.Update(func(tx *genie.Tx) error { tx.Set(f.keys[i], "v"); return nil })
			})
		},
		func() float64 { return perOp(1, 200_000, func(i int) { f.Get(f.keys[i%len(f.keys)]) }) },
	)
	t.ratio("a key read and written in an Update of 1000, against a Set and a Get", m[0], m[1]+m[3], "ns", 1)
	t.ratio("an Update of one key, against a Get", m[2], m[3], "ns", 3)
	return nil
}

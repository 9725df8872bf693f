package main

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/bench/measure"
)

// viewsOfAnySize compares views of stores of several sizes.
func viewsOfAnySize(m *measurement) error {
	sizes := []int{1_000, 100_000, 1_000_000, 4_000_000}
	views := make([]func() float64, len(sizes))
	for i, n := range sizes {
		f, err := newFixture(n)
		if err != nil {
			return err
		}
		defer f.close()
		views[i] = m.idleSeconds(1, func(int) { _ = f.View(func(*genie.View) error { return nil }) })
	}
	times := m.inTurns(views...)
	for i, n := range sizes[1:] {
		m.compare(comparison{
			Measured: "a view of " + measure.Count(n) + " keys",
			Against:  "a view of " + measure.Count(sizes[0]) + " keys",
			Unit:     measure.Seconds, Figures: times[i+1], Others: times[0], Target: atMost(2),
		})
	}
	return nil
}

// keysPerRead is the number of keys of one bulk read or one long Update.
const keysPerRead = 1000

// readsInView compares bulk reads by two callers: in views, and under a lock per
// key.
func readsInView(m *measurement) error {
	return errors.Join(m.readsInViewOf(1_000), m.readsInViewOf(million))
}

func (m *measurement) readsInViewOf(n int) error {
	f, err := newFixture(n)
	if err != nil {
		return err
	}
	defer f.close()
	locked := lockedMap{entries: f.Snapshot()}
	const callers = 2
	var found atomic.Int64 // keeps the compiler from leaving the reads out
	times := m.inTurns(
		m.idleSeconds(callers, func(call int) {
			_ = f.View(func(v *genie.View) error {
				found.Add(f.countFound(call, v.Get))
				return nil
			})
		}),
		m.idleSeconds(callers, func(call int) { found.Add(f.countFound(call, locked.get)) }),
	)
	if found.Load() == 0 {
		return errors.New("no key was found")
	}
	m.compare(comparison{
		Measured: "a key read in a View of 1000 reads, " + measure.Count(n) + " keys",
		Against:  "a key read under RWMutex, locked for each",
		Callers:  callers, Unit: measure.Seconds,
		Figures: times[0].times(1.0 / keysPerRead), Others: times[1].times(1.0 / keysPerRead), Target: atMost(0.4),
	})
	return nil
}

// countFound reads the keys of a call and returns how many exist.
func (f *fixture) countFound(call int, get func(string) (string, bool)) (found int64) {
	for i := range keysPerRead {
		if _, ok := get(f.key(call*keysPerRead + i)); ok {
			found++
		}
	}
	return found
}

type lockedMap struct {
	mu      sync.RWMutex
	entries map[string]string
}

func (l *lockedMap) get(key string) (string, bool) {
	l.mu.RLock()
	value, found := l.entries[key]
	l.mu.RUnlock()
	return value, found
}

// keysInUpdate compares a key written in an Update of 1000 with a single Set.
func keysInUpdate(m *measurement) error {
	f, err := newFixture(100_000)
	if err != nil {
		return err
	}
	defer f.close()
	times := m.inTurns(
		m.idleSeconds(1, f.updateMany),
		m.idleSeconds(1, func(call int) {
			_ = f.Update(func(tx *genie.Tx) error { tx.Set(f.key(call), "v"); return nil })
		}),
		m.idleSeconds(1, func(call int) { f.Set(f.key(call), "v") }),
		m.idleSeconds(1, func(call int) { f.Get(f.key(call)) }),
	)
	many, one, set, get := times[0].times(1.0/keysPerRead), times[1], times[2], times[3]
	m.compare(comparison{
		Measured: "a key read and written in an Update of 1000", Against: "a Set and a Get", Unit: measure.Seconds,
		Figures: many, Others: set.plus(get), Target: atMost(1),
	})
	m.compare(comparison{
		Measured: "an Update of one key", Against: "a Get", Unit: measure.Seconds,
		Figures: one, Others: get, Target: atMost(3),
	})
	return nil
}

func (f *fixture) updateMany(call int) {
	_ = f.Update(func(tx *genie.Tx) error {
		for i := range keysPerRead {
			key := f.key(call*keysPerRead + i)
			old, _ := tx.Get(key)
			tx.Set(key, old)
		}
		return nil
	})
}

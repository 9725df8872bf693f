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
		views[i] = m.idleNanoseconds(1, func(int) { _ = f.View(func(*genie.View) error { return nil }) })
	}
	medians := m.medians(views...)
	t := m.ratios()
	for i, n := range sizes {
		t.ratio("a view of "+measure.Count(n)+" keys, against one of "+measure.Count(sizes[0]),
			medians[i]/1e9, medians[0]/1e9, measure.Seconds, atMost(2))
	}
	return t.Flush()
}

// keysPerRead is the number of keys of one bulk read or one long Update.
const keysPerRead = 1000

// readsInView compares bulk reads by two callers: in views, and under a lock per
// key.
func readsInView(m *measurement) error {
	t := m.ratios()
	for _, n := range []int{1_000, 1_000_000} {
		if err := m.readsInViewOf(t, n); err != nil {
			return err
		}
	}
	return t.Flush()
}

func (m *measurement) readsInViewOf(t table, n int) error {
	f, err := newFixture(n)
	if err != nil {
		return err
	}
	defer f.close()
	locked := lockedMap{entries: f.Snapshot()}
	var found atomic.Int64 // keeps the compiler from leaving the reads out
	medians := m.medians(
		m.idleNanoseconds(2, func(call int) {
			_ = f.View(func(v *genie.View) error {
				found.Add(f.countFound(call, v.Get))
				return nil
			})
		}),
		m.idleNanoseconds(2, func(call int) { found.Add(f.countFound(call, locked.get)) }),
	)
	if found.Load() == 0 {
		return errors.New("no key was found")
	}
	t.ratio("a key read in View of "+measure.Count(n)+", against RWMutex",
		medians[0]/keysPerRead/1e9, medians[1]/keysPerRead/1e9, measure.Seconds, atMost(0.4))
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
	medians := m.medians(
		m.idleNanoseconds(1, f.updateMany),
		m.idleNanoseconds(1, func(call int) {
			_ = f.Update(func(tx *genie.Tx) error { tx.Set(f.key(call), "v"); return nil })
		}),
		m.idleNanoseconds(1, func(call int) { f.Set(f.key(call), "v") }),
		m.idleNanoseconds(1, func(call int) { f.Get(f.key(call)) }),
	)
	many, one, set, get := medians[0]/keysPerRead, medians[1], medians[2], medians[3]
	t := m.ratios()
	t.ratio("a key read and written in an Update of 1000, against a Set and a Get", many/1e9, (set+get)/1e9, measure.Seconds, atMost(1))
	t.ratio("an Update of one key, against a Get", one/1e9, get/1e9, measure.Seconds, atMost(3))
	return t.Flush()
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

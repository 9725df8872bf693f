package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
)

// setAmongMany compares Genie's Sets with those of an actor that runs closures over a Go
// map, where most keys are not in the caches of the processor.
func setAmongMany(m *measurement) error {
	for _, size := range []struct {
		entries int
		callers []int
		goal    target
	}{
		{100_000, []int{1, 8, 64, 512}, atMost(1)},
		{2 * million, []int{1, 8}, atMost(1.5)},
	} {
		c, err := newContest(size.entries)
		if err != nil {
			return err
		}
		set := kind{"Set", setOf(allKeys(size.entries))}
		for _, n := range size.callers {
			figures := m.inTurns(c.seconds(c.genie, set, n, 2*m.window), c.seconds(c.closures, set, n, 2*m.window))
			m.compare(comparison{
				Measured: fmt.Sprintf("Set among %s keys", short(size.entries)), Against: "Set of an actor with closures", Callers: n, Unit: measure.Seconds,
				Figures: figures[0], Others: figures[1], Target: size.goal,
			})
		}
		c.close()
	}
	return nil
}

// allKeys returns the keys of a store in a random order: more than measure.Keys, which
// leaves room for a large store.
func allKeys(entries int) []string {
	keys := make([]string, entries)
	for i, key := range rand.New(rand.NewPCG(1, 2)).Perm(entries) {
		keys[i] = measure.Key(key)
	}
	return keys
}

func setOf(keys []string) func(*peer.Store, []string) measure.Operation {
	return func(store *peer.Store, _ []string) measure.Operation { return measure.WriteOp(store, keys) }
}

// callsOfOneKey compares the calls that read and write one key with the same by Update.
func callsOfOneKey(m *measurement) error {
	f, err := newFixture(1_000)
	if err != nil {
		return err
	}
	defer f.close()
	counter := func(call int) string { return "counter-" + strconv.Itoa(call%1_000) }
	byUpdate := func(key string, write func(value string, ok bool) string) {
		_ = f.Update(func(tx *genie.Tx) error {
			value, ok := tx.Get(key)
			if next := write(value, ok); next != value {
				tx.Set(key, next)
			}
			return nil
		})
	}
	for _, c := range []struct {
		name          string
		call, another func(call int)
	}{
		{"GetOrSet",
			func(call int) { f.GetOrSet(f.key(call), "other") },
			func(call int) {
				byUpdate(f.key(call), func(value string, ok bool) string {
					if ok {
						return value
					}
					return "other"
				})
			}},
		{"CompareAndSwap",
			func(call int) { f.CompareAndSwap(f.key(call), "a", "b") },
			func(call int) {
				byUpdate(f.key(call), func(value string, _ bool) string {
					if value == "a" {
						return "b"
					}
					return value
				})
			}},
		{"Increment",
			func(call int) { _, _ = f.Increment(counter(call), 1) },
			func(call int) {
				byUpdate(counter(call), func(value string, _ bool) string {
					n, _ := strconv.Atoi(value)
					return strconv.Itoa(n + 1)
				})
			}},
	} {
		for _, n := range []int{1, 8, 64, 512} {
			rate := func(op func(int)) func() float64 {
				return func() float64 { return measure.Rate(n, m.window, func(_, call int) { op(call) }, func() {}) }
			}
			rates := m.inTurns(rate(c.call), rate(c.another))
			m.compare(comparison{
				Measured: c.name, Against: "the same by Update", Callers: n, Unit: measure.PerSecond,
				Figures: rates[0], Others: rates[1], Target: atLeast(1.5),
			})
		}
	}
	return nil
}

// entriesThatEnd compares Gets while a million entries end at once with Gets before.
func entriesThatEnd(m *measurement) error {
	const soon = 10 * time.Second
	var idle, busy, took series
	for range m.rounds {
		f, err := newFixture(100_000)
		if err != nil {
			return err
		}
		deadline := time.Now().Add(soon)
		for i := range million {
			f.SetWithTTL(strconv.Itoa(i), "a value of some fifty bytes, as those of the others", time.Until(deadline))
		}
		if time.Until(deadline) < time.Second {
			return fmt.Errorf("a machine too slow to set %d entries in %v", million, soon-time.Second)
		}
		idle = append(idle, f.getsUntil(func() bool { return time.Until(deadline) < 100*time.Millisecond }))
		time.Sleep(time.Until(deadline))
		began := time.Now()
		busy = append(busy, f.getsUntil(func() bool { return f.Stats().Expiring == 0 }))
		took = append(took, time.Since(began).Seconds())
		f.close()
	}
	m.compare(comparison{
		Measured: "99.9 % of Gets while 1 M entries end take at most", Against: "99.9 % of Gets before", Unit: measure.Seconds,
		Figures: busy, Others: idle, Target: atMost(3),
	})
	m.compare(comparison{
		Measured: "the removal of 1 M entries", Against: "a second", Unit: measure.Seconds,
		Figures: took, Others: slices.Repeat(series{1}, len(took)), Target: noTarget,
	})
	return nil
}

// getsUntil returns the time within which 99.9 % of the Gets stay, in seconds. It asks
// whether it is done between the Gets, once in a hundred.
func (f *fixture) getsUntil(done func() bool) float64 {
	var all []time.Duration
	for !done() {
		for range 100 {
			began := time.Now()
			f.Get(f.key(len(all) * 7919))
			all = append(all, time.Since(began))
		}
	}
	slices.Sort(all)
	return quantile(all, 0.999)
}

// short returns a number of entries as tables write it.
func short(n int) string {
	if n >= million {
		return fmt.Sprintf("%d M", n/million)
	}
	return fmt.Sprintf("%d k", n/1_000)
}

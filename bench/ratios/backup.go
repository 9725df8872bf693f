package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/internal/trie"
)

const million = 1_000_000

// A load is callers that Get and Set as fast as they can, and what that gave.
type load struct {
	ops     float64 // per second
	slowest time.Duration
}

// under runs callers for as long as work takes.
func under(f *fixture, work func()) load {
	var stop atomic.Bool
	var ops atomic.Int64
	const callers = 4
	slowest := make([]time.Duration, callers)
	var wg sync.WaitGroup
	start := time.Now()
	for g := range callers {
		wg.Go(func() {
			for i := g; !stop.Load(); i += callers {
				began := time.Now()
				if i%8 < callers {
					f.Set(f.keys[i*31%len(f.keys)], "v")
				} else {
					f.Get(f.keys[i*31%len(f.keys)])
				}
				slowest[g] = max(slowest[g], time.Since(began))
				ops.Add(1)
			}
		})
	}
	work()
	took := time.Since(start)
	stop.Store(true)
	wg.Wait()
	return load{float64(ops.Load()) / took.Seconds(), slices.Max(slowest)}
}

// duringABackup compares the operations that go on while a backup is written
// with those of an idle store, for as long.
func duringABackup(t *table) error {
	f, err := newFixture(million)
	if err != nil {
		return err
	}
	defer f.close()
	var idle, busy []load
	for range rounds {
		began := time.Now()
		var failed error
		busy = append(busy, under(f, func() { failed = f.Backup() }))
		if failed != nil {
			return failed
		}
		took := time.Since(began)
		idle = append(idle, under(f, func() { time.Sleep(took) }))
	}
	a, b := median(busy), median(idle)
	t.ratio("operations per second, against idle", a.ops, b.ops, "/s", -0.7)
	t.ratio("slowest operation, against idle", a.slowest.Seconds()*1000, b.slowest.Seconds()*1000, "ms", 10)
	return nil
}

// median returns the median of each field.
func median(loads []load) load {
	slices.SortFunc(loads, func(a, b load) int { return int(a.ops - b.ops) })
	ops := loads[len(loads)/2].ops
	slices.SortFunc(loads, func(a, b load) int { return int(a.slowest - b.slowest) })
	return load{ops, loads[len(loads)/2].slowest}
}

// backupAndLoad compares with what one would write by hand: json.Marshal, write,
// fsync; read, json.Unmarshal.
func backupAndLoad(t *table) error {
	f, err := newFixture(million)
	if err != nil {
		return err
	}
	defer f.close()
	plain := f.Snapshot()
	byHand := filepath.Join(f.dir, "by-hand.json")
	var failed error
	timed := func(work func() error) func() float64 {
		return func() float64 {
			runtime.GC()
			start := time.Now()
			if err := work(); err != nil {
				failed = err
			}
			return time.Since(start).Seconds() * 1000
		}
	}
	// Each start needs a file of its own: the process owns what it has loaded.
	if err := marshalAndSync(byHand, plain); err != nil {
		return err
	}
	copies, err := copiesOf(byHand, rounds)
	if err != nil {
		return err
	}
	var loads int
	m := medians(
		timed(f.Backup),
		timed(func() error { return marshalAndSync(byHand, plain) }),
		timed(func() error {
			loads++
			return loadOnce(copies[loads-1])
		}),
		timed(func() error { return unmarshal(byHand) }),
	)
	if failed != nil {
		return failed
	}
	t.ratio("backup, against json.Marshal, write, fsync", m[0], m[1], "ms", 0.5)
	t.ratio("load, against read, json.Unmarshal", m[2], m[3], "ms", 0.65)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := f.Backup(); err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	info, err := os.Stat(f.path())
	if err != nil {
		return err
	}
	t.ratio("allocated by a backup, against the file", float64(after.TotalAlloc-before.TotalAlloc), float64(info.Size()), "bytes", 0.01)
	return nil
}

func marshalAndSync(path string, m map[string]string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return err
	}
	return file.Sync()
}

func copiesOf(path string, n int) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	copies := make([]string, n)
	for i := range copies {
		copies[i] = fmt.Sprint(path, i)
		if err := os.WriteFile(copies[i], text, 0o600); err != nil {
			return nil, err
		}
	}
	return copies, nil
}

func unmarshal(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var m map[string]string
	return json.Unmarshal(text, &m)
}

// loadOnce starts a store on path, which no store has loaded yet.
func loadOnce(path string) error {
	store, err := genie.NewStore(genie.WithPath(path))
	if err == nil && store.Len() != million {
		err = fmt.Errorf("loaded %d entries", store.Len())
	}
	return err
}

// longestTurn times every write of the owner's map while all keys are
// overwritten under a held view, and again after its release. Turns in which the
// kernel took the processor away, for one of its ticks as a rule, are not the
// map's and not counted.
func longestTurn(t *table) error {
	small, large := turns(100_000), turns(million)
	t.ratio("99.99 % of turns take, 1 M keys against 100 k", large[0], small[0], "µs", 2)
	t.ratio("the longest turn, 1 M keys against 100 k", large[1], small[1], "µs", 5)
	return nil
}

// turns returns the median over rounds of the 99.99th percentile and of the
// longest, in µs.
func turns(n int) []float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := trie.New()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%08d", i*7919%n)
		m.Set(keys[i], "old")
	}
	took := make([]time.Duration, 0, 2*n)
	var most []time.Duration
	var high []time.Duration
	for range rounds {
		took = took[:0]
		view := m.View()
		for i := range 2 * n {
			if i == n {
				runtime.KeepAlive(view)
				view = trie.View{}
			}
			before, start := switches(), time.Now()
			m.Set(keys[i%n], "new")
			if d := time.Since(start); switches() == before {
				took = append(took, d)
			}
		}
		slices.Sort(took)
		high = append(high, took[len(took)-len(took)/10_000])
		most = append(most, took[len(took)-1])
	}
	slices.Sort(high)
	slices.Sort(most)
	us := func(d []time.Duration) float64 { return float64(d[len(d)/2].Nanoseconds()) / 1000 }
	return []float64{us(high), us(most)}
}

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/bench/measure"
)

// steps compares a step of 1 000 changed keys among a million with a whole backup,
// and its bytes with those of the changed entries.
func steps(m *measurement) error {
	f, err := newFixture(million, genie.WithJournal())
	if err != nil {
		return err
	}
	defer f.close()
	const changed = 1_000
	value := "a value of some fifty bytes, as those of the others"
	calls, bytes := 0, int64(0)
	var failed error
	whole := seconds(&failed, f.Backup)
	step := func() float64 {
		for range changed {
			f.Set(f.key(calls*7919), value+string(rune('a'+calls%26)))
			calls++
		}
		before := f.size()
		seconds := seconds(&failed, f.Sync)()
		bytes = f.size() - before
		return seconds
	}
	whole() // the first makes the file
	times := m.inTurns(step, whole)
	m.compare(comparison{
		Measured: "a step of 1 000 keys of 1 M", Against: "a backup", Unit: measure.Seconds,
		Figures: times[0], Others: times[1], Target: atMost(0.03),
	})
	entries := float64(changed * (len(f.key(0)) + len(value) + 1))
	m.compare(comparison{
		Measured: "bytes of that step", Against: "its keys and values", Unit: measure.Bytes,
		Figures: series{float64(bytes)}, Others: series{entries}, Target: atMost(3),
	})
	return failed
}

func (f *fixture) size() int64 {
	info, err := os.Stat(f.path())
	if err != nil {
		return 0
	}
	return info.Size()
}

// setBesideTicks compares the Sets of a store that writes a step each second with
// those of a store without backups.
func setBesideTicks(m *measurement) error {
	plain, err := newFixture(100_000)
	if err != nil {
		return err
	}
	defer plain.close()
	journal, err := newFixture(100_000, genie.WithJournal())
	if err != nil {
		return err
	}
	defer journal.close()
	if err := journal.Backup(); err != nil {
		return err
	}
	journal.StartAutoBackup(time.Second)
	defer journal.StopAutoBackup()
	for _, callers := range []int{1, 64} {
		rate := func(f *fixture) func() float64 {
			return func() float64 {
				return measure.Rate(callers, 3*time.Second, func(_, call int) { f.Set(f.key(call), "v") }, func() { f.Len() })
			}
		}
		rates := m.inTurns(rate(journal), rate(plain))
		m.compare(comparison{
			Measured: "Set with a step each second", Against: "Set without backups", Callers: callers, Unit: measure.PerSecond,
			Figures: rates[0], Others: rates[1], Target: atLeast(0.9),
		})
	}
	return nil
}

// syncs compares a Set and a Sync with a bare write and fdatasync of as many bytes.
func syncs(m *measurement) error {
	f, err := newFixture(100_000, genie.WithJournal())
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.Backup(); err != nil {
		return err
	}
	var failed atomic.Pointer[error]
	note := func(err error) {
		if err != nil {
			failed.Store(&err)
		}
	}
	bare, err := os.Create(filepath.Join(f.dir, "bare"))
	if err != nil {
		return err
	}
	defer bare.Close()
	line := slices.Repeat([]byte("x"), 150)
	append1 := func() float64 {
		return measure.Rate(1, 5*m.window, func(int, int) {
			_, err := bare.Write(line)
			note(errors.Join(err, syncData(bare)))
		}, func() {})
	}
	setAndSync := func(callers int) func() float64 {
		var values atomic.Int64
		return func() float64 {
			return measure.Rate(callers, 5*m.window, func(caller, call int) {
				f.Set(f.key(caller*1_009+call), time.Duration(values.Add(1)).String()+" is a value of some fifty bytes")
				note(f.Sync())
			}, func() {})
		}
	}
	callers, goals := []int{1, 16, 64}, []target{atLeast(0.8), noTarget, atLeast(25)}
	rates := m.inTurns(setAndSync(callers[0]), setAndSync(callers[1]), setAndSync(callers[2]), append1)
	for i, n := range callers {
		m.compare(comparison{
			Measured: "Set and Sync", Against: "write and fdatasync, 1 caller", Callers: n, Unit: measure.PerSecond,
			Figures: rates[i], Others: rates[3], Target: goals[i],
		})
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// syncDuringABackup compares 99 % of the Syncs during a backup of two million keys with
// the usual idle Sync.
func syncDuringABackup(m *measurement) error {
	f, err := newFixture(2*million, genie.WithJournal())
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.Backup(); err != nil {
		return err
	}
	var failed error
	values := 0
	during := func(work func() error) []time.Duration {
		var took []time.Duration
		var done atomic.Bool
		var backup sync.WaitGroup
		backup.Go(func() { failed = errors.Join(failed, work()); done.Store(true) })
		for !done.Load() {
			values++
			f.Set(f.key(values*7919), time.Duration(values).String())
			one, err := measure.Timed(f.Sync)
			if err != nil {
				backup.Wait()
				failed = errors.Join(failed, err)
				return []time.Duration{one}
			}
			took = append(took, one)
			time.Sleep(time.Millisecond)
		}
		backup.Wait()
		slices.Sort(took)
		return took
	}
	at := func(took []time.Duration, share float64) float64 {
		return took[min(len(took)-1, int(share*float64(len(took))))].Seconds()
	}
	var busy, idle []time.Duration
	times := m.inTurns(
		func() float64 { busy = during(f.Backup); return at(busy, 0.99) },
		func() float64 { return at(busy, 1) },
		func() float64 {
			idle = during(func() error { time.Sleep(2 * time.Second); return nil })
			return at(idle, 0.5)
		},
		func() float64 { return at(idle, 0.99) },
	)
	for _, row := range []struct {
		measured string
		figures  series
		goal     target
	}{
		{"99 % of the Syncs during a backup of 2 M keys take at most", times[0], atMost(3)},
		{"the slowest Sync during that backup, perhaps at the switch of files", times[1], noTarget},
		{"99 % of the idle Syncs take at most", times[3], noTarget},
	} {
		m.compare(comparison{
			Measured: row.measured, Against: "half of the idle Syncs take at most", Unit: measure.Seconds,
			Figures: row.figures, Others: times[2], Target: row.goal,
		})
	}
	return failed
}

// setBesideAWatcher compares the Sets of a store that is watched with those of one that
// is not.
func setBesideAWatcher(m *measurement) error {
	f, err := newFixture(100_000)
	if err != nil {
		return err
	}
	defer f.close()
	for _, callers := range []int{1, 64} {
		rate := func() float64 {
			return measure.Rate(callers, 3*m.window, func(caller, call int) {
				f.Set(f.key(caller*1_009+call), "v")
			}, func() { f.Len() })
		}
		watched := func() float64 {
			ctx, cancel := context.WithCancel(context.Background())
			var watcher sync.WaitGroup
			defer watcher.Wait()
			defer cancel()
			watcher.Go(func() {
				for _, changes := range f.Watch(ctx) {
					for range changes {
					}
				}
			})
			return rate()
		}
		rates := m.inTurns(watched, rate)
		m.compare(comparison{
			Measured: "Set beside a watcher", Against: "Set without", Callers: callers, Unit: measure.PerSecond,
			Figures: rates[0], Others: rates[1], Target: atLeast(0.5),
		})
	}
	return nil
}

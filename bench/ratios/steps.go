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
	medians := m.medians(step, whole)
	t := m.ratios()
	t.ratio("a step of 1 000 keys of 1 M, against a backup", medians[0], medians[1], measure.Seconds, atMost(0.03))
	entries := float64(changed * (len(f.key(0)) + len(value) + 1))
	t.ratio("bytes of that step, against its keys and values", float64(bytes), entries, measure.Bytes, atMost(3))
	return errors.Join(failed, t.Flush())
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
	t := m.ratios()
	for _, callers := range []int{1, 64} {
		rate := func(f *fixture) func() float64 {
			return func() float64 {
				return measure.Rate(callers, 3*time.Second, func(_, call int) { f.Set(f.key(call), "v") }, func() { f.Len() })
			}
		}
		medians := m.medians(rate(journal), rate(plain))
		t.ratio("Sets a second with steps each second, against without, "+measure.ForCallers(callers),
			medians[0], medians[1], measure.PerSecond, atLeast(0.9))
	}
	return t.Flush()
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
	medians := m.medians(setAndSync(1), setAndSync(16), setAndSync(64), append1)
	t := m.ratios()
	t.ratio("Set and Sync, 1 caller, against a bare append", medians[0], medians[3], measure.PerSecond, atLeast(0.8))
	t.ratio("Set and Sync, 16 callers, against a bare append", medians[1], medians[3], measure.PerSecond, noTarget)
	t.ratio("Set and Sync, 64 callers, against a bare append", medians[2], medians[3], measure.PerSecond, atLeast(25))
	if err := failed.Load(); err != nil {
		return *err
	}
	return t.Flush()
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
	medians := m.medians(
		func() float64 { busy = during(f.Backup); return at(busy, 0.99) },
		func() float64 { return at(busy, 1) },
		func() float64 {
			idle = during(func() error { time.Sleep(2 * time.Second); return nil })
			return at(idle, 0.5)
		},
		func() float64 { return at(idle, 0.99) },
	)
	t := m.ratios()
	t.ratio("99 % of the Syncs during a backup of 2 M keys, against half of the idle ones", medians[0], medians[2], measure.Seconds, atMost(3))
	t.ratio("the slowest Sync during a backup, at the switch perhaps", medians[1], medians[2], measure.Seconds, noTarget)
	t.ratio("99 % of the idle Syncs", medians[3], medians[2], measure.Seconds, noTarget)
	return errors.Join(failed, t.Flush())
}

// setBesideAWatcher compares the Sets of a store that is watched with those of one that
// is not.
func setBesideAWatcher(m *measurement) error {
	f, err := newFixture(100_000)
	if err != nil {
		return err
	}
	defer f.close()
	t := m.ratios()
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
		medians := m.medians(watched, rate)
		t.ratio("Sets a second beside a watcher, against without, "+measure.ForCallers(callers), medians[0], medians[1], measure.PerSecond, atLeast(0.5))
	}
	return t.Flush()
}

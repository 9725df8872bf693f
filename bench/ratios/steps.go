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

// syncDuringABackup compares Syncs during a backup of two million keys with idle ones, with
// those beside a goroutine that computes, and with bare appends to a file of their own
// during such a backup. A bare append waits for the same disk and the same processors.
func syncDuringABackup(m *measurement) error {
	f, err := newFixture(2*million, genie.WithJournal())
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.Backup(); err != nil {
		return err
	}
	bare, err := os.Create(filepath.Join(f.dir, "bare"))
	if err != nil {
		return err
	}
	defer bare.Close()
	line, values := slices.Repeat([]byte("x"), 150), 0
	setAndSync := func() (time.Duration, error) {
		values++
		f.Set(f.key(values*7919), time.Duration(values).String())
		return measure.Timed(f.Sync)
	}
	appendLine := func() (time.Duration, error) {
		return measure.Timed(func() error {
			_, err := bare.Write(line)
			return errors.Join(err, syncData(bare))
		})
	}
	rest := func() error { time.Sleep(2 * time.Second); return nil }
	var failed error
	var busy, idle, appends []time.Duration
	beside := func(call func() (time.Duration, error), work func() error) []time.Duration {
		took, err := besides(call, work)
		failed = errors.Join(failed, err)
		return took
	}
	times := m.inTurns(
		func() float64 { busy = beside(setAndSync, f.Backup); return quantile(busy, 0.99) },
		func() float64 { return quantile(busy, 1) },
		func() float64 { appends = beside(appendLine, f.Backup); return quantile(appends, 0.99) },
		func() float64 { return quantile(appends, 1) },
		func() float64 { return quantile(beside(setAndSync, compute), 0.99) },
		func() float64 { idle = beside(setAndSync, rest); return quantile(idle, 0.99) },
		func() float64 { return quantile(idle, 0.5) },
	)
	const most, slowest = "99 % of the Syncs during a backup of 2 M keys take at most", "the slowest Sync during that backup"
	for _, row := range []struct {
		measured string
		figures  series
		against  string
		others   series
		goal     target
	}{
		{most, times[0], "99 % of the idle Syncs take at most", times[5], atMost(3)},
		{most, times[0], "half of the idle Syncs take at most", times[6], noTarget},
		{most, times[0], "99 % of bare appends to another file during a backup", times[2], noTarget},
		{"99 % of the Syncs beside a goroutine that computes take at most", times[4], "99 % of the idle Syncs take at most", times[5], noTarget},
		{slowest, times[1], "the slowest bare append during a backup", times[3], noTarget},
	} {
		m.compare(comparison{
			Measured: row.measured, Against: row.against, Unit: measure.Seconds,
			Figures: row.figures, Others: row.others, Target: row.goal,
		})
	}
	return failed
}

// besides returns how long the calls took, in order of their length, that were made while
// work ran.
func besides(call func() (time.Duration, error), work func() error) (took []time.Duration, err error) {
	done := make(chan error, 1)
	go func() { done <- work() }()
	for {
		one, err := call()
		if err != nil {
			return []time.Duration{one}, errors.Join(err, <-done)
		}
		took = append(took, one)
		select {
		case err := <-done:
			slices.Sort(took)
			return took, err
		case <-time.After(time.Millisecond):
		}
	}
}

// quantile returns the time that the share of sorted stays within, in seconds.
func quantile(sorted []time.Duration, share float64) float64 {
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))].Seconds()
}

// compute keeps a processor busy for two seconds.
func compute() error {
	for began := time.Now(); time.Since(began) < 2*time.Second; {
	}
	return nil
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

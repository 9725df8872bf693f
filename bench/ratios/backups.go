package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
	"github.com/windevkay/forge/genie/bench/report"
)

const million = 1_000_000

// duringABackup compares the calls during a backup with the calls during as long
// a pause. Every caller sets and gets in turns: a Set is cheaper than a Get, and
// callers of one kind could make up for callers of the other. The callers never
// yield: a backup that yields to callers that yield in turn would hardly run.
func duringABackup(m *measurement) error {
	f, err := newFixture(million)
	if err != nil {
		return err
	}
	defer f.close()
	crew := measure.Crew{Read: f.setOrGet, Write: f.setOrGet, Size: 2}
	var busy, idle measure.Calls
	var failed error
	medians := m.medians(
		func() float64 {
			var err error
			busy, err = crew.During(f.Backup)
			failed = errors.Join(failed, err)
			return busy.PerSecond()
		},
		func() float64 { return busy.Slowest().Seconds() },
		func() float64 {
			idle, _ = crew.During(func() error { time.Sleep(busy.Took()); return nil })
			return idle.PerSecond()
		},
		func() float64 { return idle.Slowest().Seconds() },
	)
	t := m.ratios()
	t.ratio("calls during a backup, against idle", medians[0], medians[2], measure.PerSecond, atLeast(0.7))
	t.ratio("slowest call during a backup, against idle", medians[1], medians[3], measure.Seconds, atMost(10))
	return errors.Join(failed, t.Flush())
}

func (f *fixture) setOrGet(_, call int) {
	if call%2 == 0 {
		f.Set(f.key(call), "v")
	} else {
		f.Get(f.key(call))
	}
}

// backupAndLoad compares with the hand-written way: json.Marshal, write, fsync;
// read, json.Unmarshal.
func backupAndLoad(m *measurement) error {
	f, err := newFixture(million)
	if err != nil {
		return err
	}
	defer f.close()
	plain := f.Snapshot()
	byHand := filepath.Join(f.dir, "by-hand.json")
	if err := marshalAndSync(byHand, plain); err != nil {
		return err
	}
	// Each load needs a file of its own: the process owns the files it loads.
	copies, err := copiesOf(byHand, m.rounds)
	if err != nil {
		return err
	}
	var failed error
	loads := 0
	medians := m.medians(
		seconds(&failed, f.Backup),
		seconds(&failed, func() error { return marshalAndSync(byHand, plain) }),
		seconds(&failed, func() error { loads++; return loadOnce(copies[loads-1]) }),
		seconds(&failed, func() error { return unmarshal(byHand) }),
	)
	t := m.ratios()
	t.ratio("backup, against json.Marshal, write, fsync", medians[0], medians[1], measure.Seconds, atMost(0.5))
	t.ratio("load, against read, json.Unmarshal", medians[2], medians[3], measure.Seconds, atMost(0.65))
	return errors.Join(failed, allocations(t, f), t.Flush())
}

// seconds measures the seconds of work without the garbage of the work before.
func seconds(failed *error, work func() error) func() float64 {
	return func() float64 {
		runtime.GC()
		took, err := measure.Timed(work)
		*failed = errors.Join(*failed, err)
		return took.Seconds()
	}
}

func allocations(t table, f *fixture) error {
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
	t.ratio("allocated by a backup, against the file", float64(after.TotalAlloc-before.TotalAlloc), float64(info.Size()), measure.Bytes, atMost(0.01))
	return nil
}

func marshalAndSync(path string, entries map[string]string) error {
	text, err := json.Marshal(entries)
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
	var entries map[string]string
	return json.Unmarshal(text, &entries)
}

// loadOnce starts a store on path, which no store has loaded yet.
func loadOnce(path string) error {
	store, err := genie.NewStore(genie.WithPath(path))
	if err == nil && store.Len() != million {
		err = fmt.Errorf("loaded %d entries", store.Len())
	}
	return err
}

// backupsBeside compares backups of 20 000 keys beside computing goroutines with
// the same backups idle. The actor is a control: it clones the map and encodes
// the clone without yielding.
func backupsBeside(computing int) func(*measurement) error {
	return func(m *measurement) error {
		const entries = 20_000
		f, err := newFixture(entries)
		if err != nil {
			return err
		}
		defer f.close()
		actor, err := peer.ChannelActor().Open(peer.Home{Dir: f.dir})
		if err != nil {
			return err
		}
		defer actor.Close()
		actor.Populate(measure.Pairs(entries, measure.Old))
		t := m.table("20 k keys", fmt.Sprintf("beside %d computing goroutines", computing), "idle", "ratio")
		return errors.Join(
			m.besideAndIdle(t, computing, "Backup", f.Backup),
			m.besideAndIdle(t, computing, "WriteTo", func() error { _, err := f.WriteTo(io.Discard); return err }),
			m.besideAndIdle(t, computing, "backup of an actor with closures", actor.Backup),
			// The last row, because a closed store gives up its file. The Set
			// leaves each Close a write to save.
			m.besideAndIdle(t, computing, "Close", func() error { f.Set(f.key(0), "v"); return f.Close() }),
			t.Flush())
	}
}

func (m *measurement) besideAndIdle(t table, computing int, name string, call func() error) error {
	var failed error
	limit := 5 * m.window
	medians := m.medians(
		func() float64 {
			// Collected before: runtime.GC yields thousands of times, and each
			// time waits for all neighbours.
			runtime.GC()
			neighbours := measure.Compute(computing)
			defer neighbours.Stop()
			// A starved call ends when its neighbours stop.
			defer time.AfterFunc(limit, neighbours.Stop).Stop()
			return secondsPerCall(m.window, call, &failed)
		},
		func() float64 { runtime.GC(); return secondsPerCall(m.idleWindow(), call, &failed) },
	)
	beside, idle, over := medians[0], medians[1], ""
	if beside >= limit.Seconds() {
		over = "over "
	}
	t.row(name, over+report.Figure(beside, measure.Seconds), report.Figure(idle, measure.Seconds), fmt.Sprintf("%s%.3g", over, beside/idle))
	return failed
}

// secondsPerCall repeats a call for the window, at least once.
func secondsPerCall(window time.Duration, call func() error, failed *error) float64 {
	begin, calls := time.Now(), 0
	for calls == 0 || time.Since(begin) < window {
		*failed = errors.Join(*failed, call())
		calls++
	}
	return time.Since(begin).Seconds() / float64(calls)
}

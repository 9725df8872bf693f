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
	figures := m.inTurns(
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
	m.compare(comparison{
		Measured: "calls during a backup of 1 M", Against: "calls without", Callers: 2 * crew.Size, Unit: measure.PerSecond,
		Figures: figures[0], Others: figures[2], Target: atLeast(0.7),
	})
	m.compare(comparison{
		Measured: "the slowest of those calls", Against: "the slowest without", Callers: 2 * crew.Size, Unit: measure.Seconds, SingleCalls: true,
		Figures: figures[1], Others: figures[3], Target: atMost(10),
	})
	return failed
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
	times := m.inTurns(
		seconds(&failed, f.Backup),
		seconds(&failed, func() error { return marshalAndSync(byHand, plain) }),
		seconds(&failed, func() error { loads++; return loadOnce(copies[loads-1]) }),
		seconds(&failed, func() error { return unmarshal(byHand) }),
	)
	m.compare(comparison{
		Measured: "a backup of 1 M keys", Against: "json.Marshal, write, fsync", Unit: measure.Seconds,
		Figures: times[0], Others: times[1], Target: atMost(0.5),
	})
	m.compare(comparison{
		Measured: "a load of 1 M keys", Against: "read, json.Unmarshal", Unit: measure.Seconds,
		Figures: times[2], Others: times[3], Target: atMost(0.65),
	})
	return errors.Join(failed, m.allocations(f))
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

// allocations are counted in a single backup: they do not depend on the machine.
func (m *measurement) allocations(f *fixture) error {
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
	m.compare(comparison{
		Measured: "memory allocated by a backup of 1 M keys", Against: "the size of the file", Unit: measure.Bytes,
		Figures: series{float64(after.TotalAlloc - before.TotalAlloc)}, Others: series{float64(info.Size())}, Target: atMost(0.01),
	})
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
		return errors.Join(
			m.besideAndIdle(computing, "Backup of 20 k keys", f.Backup),
			m.besideAndIdle(computing, "WriteTo of 20 k keys", func() error { _, err := f.WriteTo(io.Discard); return err }),
			m.besideAndIdle(computing, "control, not Genie: backup of an actor with closures", actor.Backup),
			// The last row, because a closed store gives up its file. The Set
			// leaves each Close a write to save.
			m.besideAndIdle(computing, "Close with 20 k keys", func() error { f.Set(f.key(0), "v"); return f.Close() }))
	}
}

func (m *measurement) besideAndIdle(computing int, name string, call func() error) error {
	var failed error
	limit := 5 * m.window
	times := m.inTurns(
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
	m.compare(comparison{
		Measured: name, Against: "the same, idle", Unit: measure.Seconds,
		Figures: times[0], Others: times[1], Limit: limit,
	})
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

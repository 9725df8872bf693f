package main

import (
	"runtime"
	"slices"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/internal/trie"
)

// longestWrite times every write of the owner's map: all keys are overwritten
// under a held view, and again after its release. Writes during which the kernel
// took the processor away, usually for one of its ticks, are not the map's and do
// not count. The sizes are measured one after the other and not in turns: the garbage
// collector would charge the writes of a small map for a large map beside it.
func longestWrite(m *measurement) error {
	small, large := m.writes(100_000), m.writes(million)
	m.compare(comparison{
		Measured: "99.99 % of writes take at most, 1 M keys", Against: "the same, 100 k keys", Unit: measure.Seconds,
		Figures: large.high, Others: small.high, Target: atMost(2),
	})
	m.compare(comparison{
		Measured: "the longest write, 1 M keys", Against: "the same, 100 k keys", Unit: measure.Seconds,
		Figures: large.longest, Others: small.longest, Target: atMost(5),
	})
	return nil
}

// writeTimes are seconds.
type writeTimes struct {
	high    series // the 99.99th percentile
	longest series
}

func (m *measurement) writes(n int) writeTimes {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	entries, keys := trie.New(), measure.Keys(n)
	for _, key := range keys {
		entries.Set(key, "old")
	}
	var times writeTimes
	for range m.rounds {
		took := overwriteTwice(entries, keys)
		slices.Sort(took)
		times.high = append(times.high, took[len(took)-1-len(took)/10_000].Seconds())
		times.longest = append(times.longest, took[len(took)-1].Seconds())
	}
	return times
}

// overwriteTwice returns the duration of every write without a context switch.
func overwriteTwice(entries *trie.Map, keys []string) []time.Duration {
	took := make([]time.Duration, 0, 2*len(keys))
	write := func(key string) {
		before, begin := contextSwitches(), time.Now()
		entries.Set(key, "new")
		if d := time.Since(begin); contextSwitches() == before {
			took = append(took, d)
		}
	}
	view := entries.View()
	for _, key := range keys {
		write(key)
	}
	runtime.KeepAlive(view)
	view = trie.View{}
	for _, key := range keys {
		write(key)
	}
	return took
}

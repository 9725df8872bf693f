package main

import (
	"runtime"
	"slices"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
	"github.com/windevkay/forge/genie/internal/trie"
)

// longestWrite times every write of the owner's map: all keys are overwritten
// under a held view, and again after its release. Writes during which the kernel
// took the processor away, usually for one of its ticks, are not the map's and do
// not count.
func longestWrite(m *measurement) error {
	small, large := m.writes(100_000), m.writes(million)
	t := m.ratios()
	t.ratio("99.99 % of writes take at most, 1 M keys against 100 k", large.high, small.high, measure.Seconds, atMost(2))
	t.ratio("the longest write, 1 M keys against 100 k", large.longest, small.longest, measure.Seconds, atMost(5))
	return t.Flush()
}

// writeTimes are seconds: medians over the rounds.
type writeTimes struct {
	high    float64 // the 99.99th percentile
	longest float64
}

func (m *measurement) writes(n int) writeTimes {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	entries, keys := trie.New(), measure.Keys(n)
	for _, key := range keys {
		entries.Set(key, "old")
	}
	var high, longest []float64
	for range m.rounds {
		took := overwriteTwice(entries, keys)
		slices.Sort(took)
		high = append(high, took[len(took)-1-len(took)/10_000].Seconds())
		longest = append(longest, took[len(took)-1].Seconds())
	}
	return writeTimes{report.Summarize(high).Median, report.Summarize(longest).Median}
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

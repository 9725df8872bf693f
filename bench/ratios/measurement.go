package main

import (
	"runtime"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
)

// A measurement measures groups and collects their comparisons.
type measurement struct {
	rounds int           // of each side of a ratio
	window time.Duration // of a rate beside computing goroutines

	group       string // being measured
	comparisons []comparison
}

// compare adds a comparison of the current group.
func (m *measurement) compare(c comparison) {
	c.Group, c.MaxProcs = m.group, runtime.GOMAXPROCS(0)
	c.Callers = max(c.Callers, 1)
	c.Ratio = report.Summarize(c.Figures.over(c.Others))
	c.Met = c.Target.met(c.Ratio.Median)
	m.comparisons = append(m.comparisons, c)
}

// idleWindow is shorter than the window beside computing goroutines: the shares of
// the scheduler do not disturb an idle rate.
func (m *measurement) idleWindow() time.Duration { return m.window / 5 }

// inTurns calls the functions in turns, round after round, and returns the figures of
// each.
func (m *measurement) inTurns(functions ...func() float64) []series {
	sides := make([]series, len(functions))
	for range m.rounds {
		for i, measureOnce := range functions {
			sides[i] = append(sides[i], measureOnce())
		}
	}
	return sides
}

// idleSeconds measures the seconds per call of n callers together.
func (m *measurement) idleSeconds(n int, op func(call int)) func() float64 {
	return func() float64 {
		return 1 / measure.Rate(n, m.idleWindow(), func(_, call int) { op(call) }, func() {})
	}
}

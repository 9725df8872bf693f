package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
)

// A measurement measures groups and prints their tables.
type measurement struct {
	rounds int           // of each side of a ratio
	window time.Duration // of a rate beside computing goroutines
	out    io.Writer
}

func (m *measurement) printf(format string, args ...any) { fmt.Fprintf(m.out, format, args...) }

// idleWindow is shorter than the window beside computing goroutines: the shares of
// the scheduler do not disturb an idle rate.
func (m *measurement) idleWindow() time.Duration { return m.window / 5 }

// medians measures the functions in turns and returns the median of each.
func (m *measurement) medians(functions ...func() float64) []float64 {
	values := make([][]float64, len(functions))
	for range m.rounds {
		for i, measureOnce := range functions {
			values[i] = append(values[i], measureOnce())
		}
	}
	medians := make([]float64, len(functions))
	for i := range values {
		medians[i] = report.Summarize(values[i]).Median
	}
	return medians
}

// idleNanoseconds measures the nanoseconds per call of n callers together.
func (m *measurement) idleNanoseconds(n int, op func(call int)) func() float64 {
	return func() float64 {
		return 1e9 / measure.Rate(n, m.idleWindow(), func(_, call int) { op(call) }, func() {})
	}
}

// A table is a Markdown table with aligned columns.
type table struct{ *tabwriter.Writer }

func (m *measurement) table(head ...string) table {
	t := table{tabwriter.NewWriter(m.out, 0, 0, 1, ' ', 0)}
	t.row(head...)
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = "---"
	}
	t.row(rule...)
	return t
}

func (t table) row(cells ...string) {
	for _, cell := range cells {
		fmt.Fprintf(t, "| %s\t", cell)
	}
	fmt.Fprintln(t, "|")
}

// ratios starts the table of a group with one ratio a row.
func (m *measurement) ratios() table {
	return m.table("measured", "Genie", "compared with", "ratio", "target")
}

func (t table) ratio(name string, got, base float64, unit measure.Unit, goal target) {
	t.row(name, report.Figure(got, unit), report.Figure(base, unit), fmt.Sprintf("%.3g", got/base), goal.verdict(got/base))
}

// A target is the bound of a ratio. The zero target is none.
type target struct {
	bound   float64
	atLeast bool // instead of at most
}

func atMost(bound float64) target  { return target{bound: bound} }
func atLeast(bound float64) target { return target{bound, true} }

var noTarget target

func (t target) verdict(ratio float64) string {
	if t == noTarget {
		return ""
	}
	relation, met := "≤", ratio <= t.bound
	if t.atLeast {
		relation, met = "≥", ratio >= t.bound
	}
	if met {
		return fmt.Sprintf("%s %g, met", relation, t.bound)
	}
	return fmt.Sprintf("%s %g, MISSED", relation, t.bound)
}

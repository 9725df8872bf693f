package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
)

// A comparison is two sides that were measured in turns. Figures and Others have one
// figure for each round.
type comparison struct {
	Group    string       `json:"group"`
	Measured string       `json:"measured"` // usually a call of Genie
	Against  string       `json:"against"`
	MaxProcs int          `json:"gomaxprocs"`
	Callers  int          `json:"callers"` // of the measured side, and of the other unless its name says otherwise
	Unit     measure.Unit `json:"unit"`
	Figures  series       `json:"figures"` // of the measured side
	Others   series       `json:"others"`  // of the other side
	Target   target       `json:"target,omitzero"`

	// SingleCalls says that a time is that of a single call, also where several callers
	// call.
	SingleCalls bool `json:"singleCalls,omitempty"`

	// Limit is the time after which a starved call was helped to its end, or zero.
	Limit time.Duration `json:"limitNanoseconds,omitzero"`

	// Ratio and Met follow from the above.
	Ratio report.Summary `json:"ratio"`
	Met   bool           `json:"met,omitempty"`
}

// columns are those of cells.
var columns = []string{"measured", "figure", "against", "its figure", "GOMAXPROCS", "callers", "ratio", "target"}

func (c comparison) cells() []string {
	return []string{
		c.Measured, c.plain(c.Figures), c.Against, c.plain(c.Others),
		fmt.Sprint(c.MaxProcs), fmt.Sprint(c.Callers),
		c.over() + c.Ratio.Text(report.Digits), c.Target.verdict(c.Ratio.Median),
	}
}

// plain returns the median of a side as a number to think in. A time of several callers
// is the time from one answer to the next of any of them, so the rate stands beside.
func (c comparison) plain(side series) string {
	median := side.median()
	switch {
	case c.Unit == measure.Seconds && c.Limit > 0 && median >= c.Limit.Seconds():
		return "over " + report.Figure(c.Limit.Seconds(), measure.Seconds)
	case c.Unit == measure.Seconds && c.Callers > 1 && !c.SingleCalls:
		return fmt.Sprintf("%s, %s", report.Figure(median, c.Unit), perSecond(1/median))
	case c.Unit == measure.PerSecond:
		return perSecond(median)
	}
	return report.Figure(median, c.Unit)
}

func perSecond(rate float64) string {
	return strings.ReplaceAll(report.Figure(rate, measure.PerSecond), " ", "\u00a0") + " a second"
}

// over marks the ratio of a starved call, which would have been higher.
func (c comparison) over() string {
	if c.Limit > 0 && c.Figures.median() >= c.Limit.Seconds() {
		return "over "
	}
	return ""
}

// A series has one figure of one side for each round.
type series []float64

func (s series) median() float64 { return report.Summarize(s).Median }

// times returns the series multiplied by a factor.
func (s series) times(factor float64) series {
	product := make(series, len(s))
	for i, figure := range s {
		product[i] = figure * factor
	}
	return product
}

// plus adds two series round by round.
func (s series) plus(other series) series {
	sum := make(series, len(s))
	for i, figure := range s {
		sum[i] = figure + other[i]
	}
	return sum
}

// over divides two series round by round: the two figures of a round met one state of
// the machine.
func (s series) over(other series) series {
	ratios := make(series, len(s))
	for i, figure := range s {
		ratios[i] = figure / other[i]
	}
	return ratios
}

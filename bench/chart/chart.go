// Package chart draws results as horizontal bars on a logarithmic scale.
package chart

import (
	"fmt"
	"strings"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
	"github.com/windevkay/forge/genie/bench/report"
)

// A Chart is a table of the results as a picture: one group of bars for each
// system, the best by the first series at the top.
type Chart struct {
	Name    string // of the file, without theme and ending
	Title   string
	Caption string
	Axis    string   // what the scale counts
	Series  []Series // at most two: a full and a hollow bar
}

// A Series is one bar in each group.
type Series struct {
	Label, Table, Column string
}

// Charts are those worth drawing of the results. The first backup size stands
// for all: the tables have the others.
func Charts(r *report.Results) []Chart {
	var charts []Chart
	if len(r.Sizes) > 0 {
		charts = append(charts, backupPause(r.Sizes[0]))
	}
	return append(charts, throughput(64))
}

const logarithmic = "; logarithmic: each line is ten times the last"

func backupPause(entries int) Chart {
	table := measure.BackupPaced(entries)
	return Chart{
		Name:  "backup-pause",
		Title: "How long a backup of " + inWords(entries) + " entries holds up a call",
		Caption: "Four readers and four writers call each store while the store backs up. " +
			"A bar is the time of the slowest call that any of them made: shorter is better.",
		Axis: "time of the slowest call" + logarithmic,
		Series: []Series{
			{"reads", table, measure.SlowestRead},
			{"writes", table, measure.SlowestWrite},
		},
	}
}

// inWords returns a count for the title of a chart.
func inWords(n int) string {
	return strings.NewReplacer(" k", " thousand", " M", " million").Replace(measure.Count(n))
}

func throughput(callers int) Chart {
	column := measure.ForCallers(callers)
	return Chart{
		Name:  "throughput",
		Title: "Calls per second, " + column + " at once",
		Caption: "Each caller reads or writes one entry, waits for the answer and calls again. " +
			"A bar is the calls of all callers together: longer is better.",
		Axis: "calls per second (k: thousand, M: million)" + logarithmic,
		Series: []Series{
			{"reads", measure.ReadTable, column},
			{"writes", measure.WriteTable, column},
		},
	}
}

// SVG draws the chart in a theme.
func (c Chart) SVG(r *report.Results, theme Theme) ([]byte, error) {
	l, err := c.layout(r, theme)
	if err != nil {
		return nil, err
	}
	return l.encode(width, l.y, c.Title, c.description(l.groups, l.axis.unit)), nil
}

func (c Chart) layout(r *report.Results, theme Theme) (*layout, error) {
	groups := c.groups(r)
	if len(groups) == 0 {
		return nil, fmt.Errorf("chart %s: the results have no such figures", c.Name)
	}
	l := newLayout(c, groups, r.Unit(c.Series[0].Table, c.Series[0].Column), theme)
	l.draw()
	return l, nil
}

// A group is the bars of one system.
type group struct {
	name        string
	highlighted bool
	bars        []report.Summary
}

// groups leaves out the systems without a figure.
func (c Chart) groups(r *report.Results) []group {
	var groups []group
	for _, system := range r.Ranking(c.Series[0].Table, c.Series[0].Column) {
		g := group{name: system, highlighted: system == peer.Reference}
		for _, series := range c.Series {
			if s, ok := r.Summary(system, series.Table, series.Column); ok {
				g.bars = append(g.bars, s)
			}
		}
		if len(g.bars) == len(c.Series) {
			groups = append(groups, g)
		}
	}
	return groups
}

// places tells how many systems are better than Genie, series by series, and the order
// of the bars.
func (c Chart) places(groups []group, unit measure.Unit) string {
	order := "Best " + c.Series[0].Label + " first."
	var places []string
	for i, series := range c.Series {
		if place := place(groups, i, unit); place > 0 {
			places = append(places, fmt.Sprintf("%d of %d for %s", place, len(groups), series.Label))
		}
	}
	if len(places) == 0 {
		return order
	}
	return order + " Genie's place: " + strings.Join(places, ", ") + "."
}

// place returns the place of Genie in a series, from 1 on, or 0 without Genie.
func place(groups []group, series int, unit measure.Unit) int {
	for _, genie := range groups {
		if !genie.highlighted {
			continue
		}
		better := 0
		for _, g := range groups {
			if ahead(g.bars[series].Median, genie.bars[series].Median, unit) {
				better++
			}
		}
		return better + 1
	}
	return 0
}

func ahead(a, b float64, unit measure.Unit) bool {
	if unit.HigherIsBetter() {
		return a > b
	}
	return a < b
}

// description is the chart in words.
func (c Chart) description(groups []group, unit measure.Unit) string {
	text := c.Caption + " Medians: "
	for i, g := range groups {
		if i > 0 {
			text += "; "
		}
		text += g.name
		for j, bar := range g.bars {
			text += ", " + c.Series[j].Label + " " + report.Figure(bar.Median, unit)
		}
	}
	return text + "."
}

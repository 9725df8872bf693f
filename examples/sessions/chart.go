package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windevkay/forge/genie"
)

// The size of both charts, in the units of their SVG. The template leaves room around
// that for the labels.
const (
	chartWidth  = 600
	chartHeight = 120
)

// A chart is a drawing, with a text for people who cannot see the drawing.
type chart struct {
	ID, Title, Text string
	From, To        string // the left edge and the right one
	Top             string // the value at the upper edge; the lower edge is 0

	Bars   []bar
	Points string // of a line, as SVG has them, or "" without one
	Last   point  // of the line
}

// A bar is one save. A step has a bar of half the width, so that the kinds differ by
// more than their colours.
type bar struct {
	X, Y, Width, Height float64
	Step                bool
	Text                string
}

type point struct{ X, Y float64 }

// chartOfSaves shows how long each save took, the newest at the right.
func chartOfSaves(saves []genie.Save) chart {
	c := chart{ID: "durations", Title: "How long the saves took", Text: "No save yet.", From: "older", To: "newest"}
	if len(saves) == 0 {
		return c
	}
	longest := slices.MaxFunc(saves, func(a, b genie.Save) int { return cmp.Compare(a.Took, b.Took) })
	newest := saves[len(saves)-1]
	c.Top = short(longest.Took)
	c.Text = fmt.Sprintf("Saves: %d. The longest took %s, the newest %s.", len(saves), short(longest.Took), short(newest.Took))
	for i, save := range saves {
		c.Bars = append(c.Bars, barOf(save, longest.Took, len(saves)-i))
	}
	return c
}

// barOf returns the bar of a save in the place-th slot from the right.
func barOf(save genie.Save, longest time.Duration, place int) bar {
	const slot = float64(chartWidth) / maxSaves
	width, height := 0.8*slot, chartHeight*share(save.Took, longest)
	if save.Step {
		width /= 2
	}
	height = max(1, height) // a bar without a height would be missed
	return bar{chartWidth - slot*float64(place), chartHeight - height, width, height, save.Step, describe(save)}
}

// chartOfEntries shows the number of entries of each sample, the newest at the right.
func chartOfEntries(entries []int) chart {
	c := chart{ID: "entries", Title: "Entries in memory", Text: "No sample yet.", From: short(span) + " ago", To: "now"}
	if len(entries) == 0 {
		return c
	}
	most, newest := slices.Max(entries), entries[len(entries)-1]
	c.Top = number(most)
	c.Text = fmt.Sprintf("Samples: %d, one each %v. The newest is %s, the smallest %s, the largest %s.",
		len(entries), sampleInterval, number(newest), number(slices.Min(entries)), number(most))
	var points []string
	for i, n := range entries {
		c.Last = pointOf(n, most, len(entries)-1-i)
		points = append(points, fmt.Sprintf("%.1f,%.1f", c.Last.X, c.Last.Y))
	}
	c.Points = strings.Join(points, " ")
	return c
}

// pointOf returns the point of a sample that is age samples old.
func pointOf(n, most, age int) point {
	const slot = chartWidth * float64(sampleInterval) / float64(span)
	return point{chartWidth - slot*float64(age), chartHeight * (1 - share(n, most))}
}

// share returns part/whole, or 0 if both are 0.
func share[T ~int | ~int64](part, whole T) float64 {
	return float64(part) / float64(max(whole, 1))
}

package chart

import (
	"math"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
)

// An axis is a logarithmic scale between two places of a picture.
type axis struct {
	unit            measure.Unit
	lowest, highest float64 // values, as powers of ten
	left, right     float64 // places of lowest and highest
}

// newAxis holds all values of the groups. A log scale has no zero, so bars start at a
// power of ten below all values, far enough for the shortest bar to be seen.
func newAxis(groups []group, unit measure.Unit, left, right float64) axis {
	const shortest = 0.15 // bar, in powers of ten
	lowest, highest := math.Inf(1), 0.0
	for _, g := range groups {
		for _, bar := range g.bars {
			lowest, highest = min(lowest, bar.Min), max(highest, bar.Max)
		}
	}
	return axis{unit, math.Floor(math.Log10(lowest) - shortest), math.Log10(highest), left, right}
}

// at returns the place of a value.
func (a axis) at(value float64) float64 { return a.place(math.Log10(value)) }

func (a axis) place(exponent float64) float64 {
	return a.left + (exponent-a.lowest)/(a.highest-a.lowest)*(a.right-a.left)
}

// A tick is a line across the bars, with its value in words.
type tick struct {
	x     float64
	words string
}

// ticks returns the powers of ten, or so many of them that their words do not touch.
func (a axis) ticks(size float64) []tick {
	var all []tick
	room := 0.0
	for exponent := a.lowest; exponent <= a.highest; exponent++ {
		words := report.Round(math.Pow(10, exponent), a.unit)
		all = append(all, tick{a.place(exponent), words})
		room = max(room, widest(words, size, false)+size)
	}
	step := max(1, int(math.Ceil(room/(a.place(1)-a.place(0)))))
	var some []tick
	for i := 0; i < len(all); i += step {
		some = append(some, all[i])
	}
	return some
}

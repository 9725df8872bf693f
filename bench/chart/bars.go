package chart

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
)

// A group is the bars of one system.
type group struct {
	name        string
	highlighted bool
	bars        []report.Summary
}

// bars draws the groups from top to bottom. The bars of the plotting library
// start at zero, which a logarithmic axis lacks; bars start at the left end of
// the axis.
type bars struct {
	groups []group
	unit   measure.Unit
	theme  Theme
}

func newBars(groups []group, unit measure.Unit, theme Theme) bars {
	return bars{groups, unit, theme}
}

func (b bars) addTo(p *plot.Plot) {
	p.X.Scale = plot.LogScale{}
	p.X.Min, p.X.Max = b.decades()
	p.X.Tick.Marker = plot.TickerFunc(b.ticks)
	p.Y.Min, p.Y.Max = -0.6, float64(len(b.groups))-0.4
	p.Y.Tick.Marker = plot.TickerFunc(b.names)
	p.Legend.Top = !b.unit.HigherIsBetter()
	p.Add(b)
}

// decades is the range of powers of ten that holds all values, with room for the
// figure behind the longest bar.
func (b bars) decades() (lowest, highest float64) {
	lowest, highest = math.Inf(1), 0
	for _, g := range b.groups {
		for _, bar := range g.bars {
			lowest, highest = min(lowest, bar.Min), max(highest, bar.Max)
		}
	}
	const room = 5
	return power(math.Floor(math.Log10(lowest))), power(math.Log10(highest)) * room
}

func power(exponent float64) float64 { return math.Pow(10, exponent) }

func (b bars) ticks(lowest, highest float64) []plot.Tick {
	var ticks []plot.Tick
	first, last := math.Round(math.Log10(lowest)), math.Floor(math.Log10(highest))
	for exponent := first; exponent <= last; exponent++ {
		value := power(exponent)
		ticks = append(ticks, plot.Tick{Value: value, Label: report.Round(value, b.unit)})
	}
	return ticks
}

func (b bars) names(_, _ float64) []plot.Tick {
	ticks := make([]plot.Tick, len(b.groups))
	for i, g := range b.groups {
		ticks[i] = plot.Tick{Value: b.row(i), Label: g.name}
	}
	return ticks
}

// row is the height of the i-th group: the first is at the top.
func (b bars) row(i int) float64 { return float64(len(b.groups) - 1 - i) }

// Plot implements plot.Plotter.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	b.grid(c, p, x)
	for i, g := range b.groups {
		colors := b.theme.peers
		if g.highlighted {
			colors = b.theme.reference
		}
		for j, bar := range g.bars {
			const height = 0.36 // of a group
			middle := b.row(i) + height*(float64(len(g.bars)-1)/2-float64(j))
			fill(c, colors[j], x(p.X.Min), x(bar.Median), y(middle-height/2), y(middle+height/2))
			b.spread(c, bar, x, y(middle))
		}
	}
}

func (b bars) grid(c draw.Canvas, p *plot.Plot, x func(float64) vg.Length) {
	style := draw.LineStyle{Color: b.theme.grid, Width: vg.Points(0.5)}
	for _, tick := range b.ticks(p.X.Min, p.X.Max) {
		c.StrokeLine2(style, x(tick.Value), c.Min.Y, x(tick.Value), c.Max.Y)
	}
}

func fill(c draw.Canvas, with color.Color, left, right, bottom, top vg.Length) {
	c.FillPolygon(with, []vg.Point{
		{X: left, Y: bottom}, {X: right, Y: bottom}, {X: right, Y: top}, {X: left, Y: top},
	})
}

// spread draws the line from the lowest to the highest value and the median in
// words behind it.
func (b bars) spread(c draw.Canvas, s report.Summary, x func(float64) vg.Length, y vg.Length) {
	c.StrokeLine2(draw.LineStyle{Color: b.theme.text, Width: vg.Points(0.7)}, x(s.Min), y, x(s.Max), y)
	style := text.Style{
		Color:   b.theme.text,
		Font:    sans(8),
		YAlign:  text.YCenter,
		Handler: plot.DefaultTextHandler,
	}
	c.FillText(style, vg.Point{X: x(s.Max) + vg.Points(4), Y: y}, report.Figure(s.Median, b.unit))
}

// A swatch is the colour of a series in the legend.
type swatch struct{ color color.Color }

// Thumbnail implements plot.Thumbnailer.
func (s swatch) Thumbnail(c *draw.Canvas) {
	fill(*c, s.color, c.Min.X, c.Max.X, c.Min.Y, c.Max.Y)
}

package chart

import (
	"math"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
)

// Sizes are pixels.
const (
	width       = 800
	margin      = 16
	gap         = 8 // between words and what they belong to
	titleSize   = 18
	captionSize = 12.5
	nameSize    = 13
	figureSize  = 11
	barHeight   = 13
	rowHeight   = 36 // of the two bars of a system
)

// A layout draws a chart from top to bottom.
type layout struct {
	picture
	chart  Chart
	groups []group
	axis   axis
	y      float64 // the lower end of what is drawn
}

func newLayout(c Chart, groups []group, unit measure.Unit, theme Theme) *layout {
	names, figures := 0.0, 0.0
	for _, g := range groups {
		names = max(names, widest(g.name, nameSize, g.highlighted))
		for _, bar := range g.bars {
			figures = max(figures, widest(report.Figure(bar.Median, unit), figureSize, g.highlighted))
		}
	}
	left, right := margin+gap+names+gap, width-margin-figures-gap
	return &layout{
		picture: picture{theme: theme},
		chart:   c,
		groups:  groups,
		axis:    newAxis(groups, unit, left, right),
	}
}

func (l *layout) draw() {
	l.y = margin / 2
	l.paragraph(l.chart.Title, titleSize, true)
	l.paragraph(l.chart.Caption, captionSize, false)
	l.paragraph(l.chart.places(l.groups, l.axis.unit), captionSize, false)
	l.legend()
	l.bars()
	l.scale()
}

// paragraph writes words in as many lines as they need.
func (l *layout) paragraph(words string, size float64, bold bool) {
	for _, line := range wrap(words, size, bold, width-2*margin) {
		l.y += 1.4 * size
		l.write(label{words: line, x: margin, y: l.y, anchor: start, size: size, bold: bold})
	}
}

// legend explains each kind of bar and the thin line.
func (l *layout) legend() {
	const swatch = 26
	l.y += 2 * captionSize
	x := float64(margin)
	entry := func(words string, draw func(y float64)) {
		draw(l.y - 4)
		l.write(label{words: words, x: x + swatch + gap, y: l.y, anchor: start, size: captionSize})
		x += swatch + gap + widest(words, captionSize, false) + 2*gap
	}
	for i, series := range l.chart.Series {
		entry(series.Label, func(y float64) { l.bar(i, x, y, swatch, l.theme.peers) })
	}
	entry("lowest to highest of the runs; the bar is their median", func(y float64) { l.whisker(x, x+swatch, y) })
	l.y += gap
}

func (l *layout) bars() {
	top, bottom := l.y, l.y+float64(len(l.groups))*rowHeight
	for i, g := range l.groups {
		if g.highlighted {
			l.fill(margin/2, top+float64(i)*rowHeight, width-margin, rowHeight, l.theme.band)
		}
	}
	for _, t := range l.axis.ticks(figureSize) {
		l.line(t.x, top, t.x, bottom, 1, l.theme.grid)
	}
	for i, g := range l.groups {
		l.group(g, top+(float64(i)+0.5)*rowHeight)
	}
	l.y = bottom
}

// group draws the bars of a system around y. Genie has an arrow, a bold name and a band
// behind its bars, so that it is found without colours too.
func (l *layout) group(g group, y float64) {
	c := l.theme.peers
	if g.highlighted {
		c = l.theme.reference
		l.arrow(margin, y, c)
	}
	l.write(label{g.name, l.axis.left - gap, y + nameSize/3, end, nameSize, g.highlighted})
	for i, s := range g.bars {
		const step = barHeight + 2
		y := y + step*(float64(i)-float64(len(g.bars)-1)/2)
		l.bar(i, l.axis.left, y, l.axis.at(s.Median)-l.axis.left, c)
		l.whisker(l.axis.at(s.Min), l.axis.at(s.Max), y)
		l.write(label{report.Figure(s.Median, l.axis.unit), l.axis.at(s.Max) + gap, y + figureSize/3, start, figureSize, g.highlighted})
	}
}

// bar draws a full bar for the first series and a hollow one for the second.
func (l *layout) bar(series int, x, y, length float64, c color) {
	if series == 0 {
		l.fill(x, y-barHeight/2, length, barHeight, c)
		return
	}
	l.frame(x, y-barHeight/2, length, barHeight, c, l.theme.background)
}

// whisker draws a line with ends. Its edge in the colour of the background lets it be
// seen on a bar.
func (l *layout) whisker(from, to, y float64) {
	const half = barHeight/2 - 3
	for _, stroke := range []struct {
		width float64
		color color
	}{{3.5, l.theme.background}, {1.3, l.theme.text}} {
		l.line(from, y, to, y, stroke.width, stroke.color)
		l.line(from, y-half, from, y+half, stroke.width, stroke.color)
		l.line(to, y-half, to, y+half, stroke.width, stroke.color)
	}
}

func (l *layout) scale() {
	l.line(l.axis.left, l.y, l.axis.right, l.y, 1, l.theme.text)
	l.y += 1.6 * figureSize
	for _, t := range l.axis.ticks(figureSize) {
		l.write(label{words: t.words, x: t.x, y: l.y, anchor: middle, size: figureSize})
	}
	l.y += captionSize / 3
	l.paragraph(l.chart.Axis, captionSize, false)
	l.y = math.Ceil(l.y + margin)
}

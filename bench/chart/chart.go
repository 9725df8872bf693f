// Package chart draws results as horizontal bars on a logarithmic scale.
package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

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
	Series  []Series // at most two, which is what the themes have colours for
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

func backupPause(entries int) Chart {
	table := measure.BackupPaced(entries)
	return Chart{
		Name:    "backup-pause",
		Title:   "Slowest operation during a backup of " + measure.Count(entries) + " entries",
		Caption: "with four readers and four writers; median and, thin, lowest to highest of the repeats; logarithmic; shorter is better",
		Series: []Series{
			{"read", table, measure.SlowestRead},
			{"write", table, measure.SlowestWrite},
		},
	}
}

func throughput(callers int) Chart {
	column := measure.ForCallers(callers)
	return Chart{
		Name:    "throughput",
		Title:   "Operations per second, " + column,
		Caption: "median and, thin, lowest to highest of the repeats; logarithmic; longer is better",
		Series: []Series{
			{"read", measure.ReadTable, column},
			{"write", measure.WriteTable, column},
		},
	}
}

// SVG draws the chart in a theme.
func (c Chart) SVG(r *report.Results, theme Theme) ([]byte, error) {
	groups := c.groups(r)
	if len(groups) == 0 {
		return nil, fmt.Errorf("chart %s: the results have no such figures", c.Name)
	}
	p := plot.New()
	style(p, theme)
	bars := newBars(groups, r.Unit(c.Series[0].Table, c.Series[0].Column), theme)
	bars.addTo(p)
	for i, series := range c.Series {
		p.Legend.Add(series.Label, swatch{theme.peers[i]})
	}
	return c.render(p, theme, groups, bars.unit)
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

func style(p *plot.Plot, theme Theme) {
	p.BackgroundColor = nil // render has filled the whole picture
	p.X.Tick.Label.Font = sans(9)
	p.Y.Tick.Label.Font = sans(10)
	p.Legend.TextStyle.Font = sans(10)
	p.Legend.Padding = vg.Points(4)
	p.Legend.XOffs = -vg.Points(6)
	p.X.Tick.Label.Color = theme.text
	p.Y.Tick.Label.Color = theme.text
	p.Legend.TextStyle.Color = theme.text
	p.X.LineStyle.Color = theme.grid
	p.X.Tick.LineStyle.Color = theme.grid
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
}

func sans(size float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)}
}

// render draws title and caption itself: the plotting library centres a title,
// and leaves room for an axis label as if the axis were linear.
func (c Chart) render(p *plot.Plot, theme Theme, groups []group, unit measure.Unit) ([]byte, error) {
	const ( // in points; 600 of them are 800 pixels
		width    = 600
		perGroup = 27
		head     = 51
		foot     = 24
		margin   = 12
	)
	svg := vgsvg.New(width, vg.Length(head+len(groups)*perGroup+foot))
	canvas := draw.New(outlines{svg})
	canvas.SetColor(theme.background)
	canvas.Fill(canvas.Rectangle.Path())
	line := func(size float64, down vg.Length, words string) {
		style := text.Style{Color: theme.text, Font: sans(size), Handler: plot.DefaultTextHandler}
		canvas.FillText(style, vg.Point{X: margin, Y: canvas.Max.Y - down}, words)
	}
	line(14, 22, c.Title)
	line(9, 38, c.Caption)
	p.Draw(draw.Crop(canvas, margin, -margin, margin/2, -head))
	return encode(svg, c.Title, c.description(groups, unit))
}

// description is the chart in words.
func (c Chart) description(groups []group, unit measure.Unit) string {
	text := c.Caption
	for _, g := range groups {
		text += "; " + g.name
		for i, bar := range g.bars {
			text += ", " + c.Series[i].Label + " " + report.Figure(bar.Median, unit)
		}
	}
	return text
}

// encode returns the picture, with its title and description for readers of screens.
func encode(canvas *vgsvg.Canvas, title, description string) ([]byte, error) {
	var svg, words bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return nil, err
	}
	for _, e := range [][2]string{{"title", title}, {"desc", description}} {
		words.WriteString("<" + e[0] + ">")
		if err := xml.EscapeText(&words, []byte(e[1])); err != nil {
			return nil, err
		}
		words.WriteString("</" + e[0] + ">\n")
	}
	root := bytes.Index(svg.Bytes(), []byte("<svg"))
	begin := root + bytes.IndexByte(svg.Bytes()[root:], '>') + 1
	return slices.Concat(svg.Bytes()[:begin], []byte("\n"), words.Bytes(), svg.Bytes()[begin:]), nil
}

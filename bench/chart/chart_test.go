package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
)

func results() *report.Results {
	const entries = 1_000_000
	r := &report.Results{Sizes: []int{entries}, Systems: []report.System{{Name: "Genie"}, {Name: "R & D"}, {Name: "absent"}}}
	for repeat, system := range []string{"Genie", "R & D", "Genie"} {
		for _, c := range Charts(r) {
			for _, s := range c.Series {
				value := float64(repeat+1) * 1e-5
				r.Add(system, repeat, []measure.Sample{{Table: s.Table, Column: s.Column, Unit: measure.Seconds, Value: value}})
			}
		}
	}
	return r
}

func TestChartsAreWellFormed(t *testing.T) {
	r := results()
	for _, c := range Charts(r) {
		for _, theme := range Themes {
			svg, err := c.SVG(r, theme)
			if err != nil {
				t.Fatal(err)
			}
			text := string(svg)
			wellFormed(t, text)
			if !strings.Contains(text, "R &amp; D") || strings.Contains(text, "absent") {
				t.Errorf("%s, %s does not show the systems with figures, and no other", c.Name, theme.Name)
			}
			if strings.Contains(text, "<text") {
				t.Errorf("%s, %s has words that need a font of the reader", c.Name, theme.Name)
			}
			if !strings.Contains(text, `d="M`) || strings.Contains(text, `d="Z`) || strings.Contains(text, `d=""`) {
				t.Errorf("%s, %s has a shape that a browser does not draw", c.Name, theme.Name)
			}
		}
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestChartWithoutFigures(t *testing.T) {
	var none report.Results
	for _, c := range Charts(&none) {
		if _, err := c.SVG(&none, Themes[0]); err == nil {
			t.Errorf("%s was drawn of nothing", c.Name)
		}
	}
}

package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
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

// kept are the results whose charts the READMEs show.
func kept(t *testing.T) *report.Results {
	t.Helper()
	r, err := report.Read("../results/results.json")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// far adds a system with a value at the other end of the scale and a long, wide name.
func far(t *testing.T) *report.Results {
	r := kept(t)
	const name = "MWMWMW, a wide name of a system"
	r.Systems = append(r.Systems, report.System{Name: name})
	for _, c := range Charts(r) {
		for _, s := range c.Series {
			r.Add(name, 0, []measure.Sample{{Table: s.Table, Column: s.Column, Unit: r.Unit(s.Table, s.Column), Value: 1e-9}})
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
			if !strings.Contains(text, "R &amp; D") || strings.Contains(text, "absent") {
				t.Errorf("%s, %s does not show the systems with figures, and no other", c.Name, theme.Name)
			}
			elements := elementsOf(t, text)
			if elements["title"] != 1 || elements["desc"] != 1 || elements["text"] == 0 {
				t.Errorf("%s, %s has the elements %v", c.Name, theme.Name, elements)
			}
		}
	}
}

// elementsOf counts the elements of an SVG and fails for a text whose place depends on
// the reader's font.
func elementsOf(t *testing.T, text string) map[string]int {
	t.Helper()
	elements := make(map[string]int)
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return elements
		} else if err != nil {
			t.Fatal(err)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		elements[element.Name.Local]++
		if element.Name.Local == "text" && !hasAnchor(element) {
			t.Errorf("a text without text-anchor: %v", element.Attr)
		}
	}
}

func hasAnchor(element xml.StartElement) bool {
	for _, a := range element.Attr {
		if a.Name.Local == "text-anchor" {
			return a.Value != ""
		}
	}
	return false
}

// A box is the room of a label in the widest usual font.
type box struct{ left, right, top, bottom float64 }

func boxOf(l label) box {
	wide := widest(l.words, l.size, l.bold)
	left := map[anchor]float64{start: l.x, middle: l.x - wide/2, end: l.x - wide}[l.anchor]
	return box{left, left + wide, l.y - 0.8*l.size, l.y + 0.2*l.size}
}

func (b box) overlaps(other box) bool {
	return b.left < other.right && other.left < b.right && b.top < other.bottom && other.top < b.bottom
}

func TestLabelsHaveRoomInAnyFont(t *testing.T) {
	for name, r := range map[string]*report.Results{"small": results(), "kept": kept(t), "far": far(t)} {
		for _, c := range Charts(r) {
			t.Run(name+" "+c.Name, func(t *testing.T) {
				l, err := c.layout(r, Themes[0])
				if err != nil {
					t.Fatal(err)
				}
				haveRoom(t, l)
			})
		}
	}
}

func haveRoom(t *testing.T, l *layout) {
	t.Helper()
	for i, one := range l.labels {
		b := boxOf(one)
		if b.left < 0 || b.right > width || b.top < 0 || b.bottom > l.y {
			t.Errorf("%q is cut: %+v", one.words, b)
		}
		for _, other := range l.labels[:i] {
			if b.overlaps(boxOf(other)) {
				t.Errorf("%q and %q overlap", one.words, other.words)
			}
		}
	}
	if l.axis.right-l.axis.left < width/3 {
		t.Errorf("the bars have %.0f pixels", l.axis.right-l.axis.left)
	}
}

func TestWrapKeepsTheWords(t *testing.T) {
	const words = "a caption of some words that needs more than a line of this width"
	lines := wrap(words, 12, false, 200)
	if len(lines) < 2 || strings.Join(lines, " ") != words {
		t.Errorf("lines %q", lines)
	}
	for _, line := range lines {
		if wide := widest(line, 12, false); wide > 200 {
			t.Errorf("%q is %.0f wide", line, wide)
		}
	}
}

func TestPlaces(t *testing.T) {
	r := results()
	got := Charts(r)[0].places(Charts(r)[0].groups(r), measure.Seconds)
	if want := "Best reads first. Genie's place: 1 of 2 for reads, 1 of 2 for writes."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	groups := []group{
		{name: "faster", bars: []report.Summary{{Median: 3}}},
		{name: "Genie", highlighted: true, bars: []report.Summary{{Median: 2}}},
		{name: "slower", bars: []report.Summary{{Median: 1}}},
	}
	if got := place(groups, 0, measure.PerSecond); got != 2 {
		t.Errorf("place %d, want 2", got)
	}
}

// TestContrast wants what WCAG 2 asks for: 4.5 to 1 for words, 3 to 1 for shapes that
// mean something.
func TestContrast(t *testing.T) {
	for _, theme := range Themes {
		for _, c := range []struct {
			what    string
			one, on color
			atLeast float64
		}{
			{what: "text", one: theme.text, on: theme.background, atLeast: 4.5},
			{what: "text of Genie", one: theme.text, on: theme.band, atLeast: 4.5},
			{what: "bars", one: theme.peers, on: theme.background, atLeast: 3},
			{what: "bars of Genie", one: theme.reference, on: theme.band, atLeast: 3},
			{what: "the outline of Genie's bars", one: theme.reference, on: theme.background, atLeast: 3},
		} {
			if got := contrast(t, c.one, c.on); got < c.atLeast {
				t.Errorf("%s: %s has a contrast of %.2f, want %g", theme.Name, c.what, got, c.atLeast)
			}
		}
	}
	if got := contrast(t, "#777777", "#ffffff"); math.Abs(got-4.48) > 0.01 {
		t.Errorf("contrast of a known pair is %.2f, want 4.48", got)
	}
}

func contrast(t *testing.T, a, b color) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance is the relative luminance of WCAG 2.
func luminance(t *testing.T, c color) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		hex, err := strconv.ParseUint(string(c[1+2*i:3+2*i]), 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		share := float64(hex) / 255
		if share <= 0.03928 {
			sum += weight * share / 12.92
		} else {
			sum += weight * math.Pow((share+0.055)/1.055, 2.4)
		}
	}
	return sum
}

func TestChartWithoutFigures(t *testing.T) {
	var none report.Results
	for _, c := range Charts(&none) {
		if _, err := c.SVG(&none, Themes[0]); err == nil {
			t.Errorf("%s was drawn of nothing", c.Name)
		}
	}
}

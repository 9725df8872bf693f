package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// An anchor says which end of a label has the label's place. The place of that end does
// not depend on the font.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

// A label is words in a picture.
type label struct {
	words  string
	x, y   float64 // y is the baseline
	anchor anchor
	size   float64
	bold   bool
}

// A picture is an SVG image under construction. It is written here and not by a plotting
// library: those measure words in a font of their own, place the words by that measure,
// and a reader with another font saw the words cut.
type picture struct {
	theme  Theme
	shapes bytes.Buffer // in the order of drawing
	labels []label      // drawn last
}

func (p *picture) shape(format string, args ...any) { fmt.Fprintf(&p.shapes, format+"\n", args...) }

func (p *picture) write(l label) { p.labels = append(p.labels, l) }

func (p *picture) line(x1, y1, x2, y2, width float64, c color) {
	p.shape(`<path d="M%.1f %.1fL%.1f %.1f" stroke="%s" stroke-width="%.1f"/>`, x1, y1, x2, y2, c, width)
}

func (p *picture) fill(x, y, width, height float64, c color) {
	p.shape(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, width, height, c)
}

// frame draws a hollow bar: its outline is inside the rectangle.
func (p *picture) frame(x, y, width, height float64, outline, inside color) {
	const thickness = 1.6
	p.shape(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" stroke="%s" stroke-width="%.1f"/>`,
		x+thickness/2, y+thickness/2, max(width-thickness, 0), height-thickness, inside, outline, thickness)
}

// arrow draws a triangle that points to the right.
func (p *picture) arrow(x, y float64, c color) {
	const size = 5
	p.shape(`<path d="M%.1f %.1fL%.1f %.1fL%.1f %.1fZ" fill="%s"/>`, x, y-size, x+1.5*size, y, x, y+size, c)
}

// fonts are those of the reader's system, whichever it has.
const fonts = "system-ui,'Segoe UI',Roboto,Helvetica,Arial,'Liberation Sans',sans-serif"

// encode returns the picture, with a title and a description for readers that cannot
// see it.
func (p *picture) encode(width, height float64, title, description string) []byte {
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%g" height="%g" viewBox="0 0 %[1]g %[2]g" font-family="%[3]s">`+"\n",
		width, height, fonts)
	fmt.Fprintf(&svg, "<title>%s</title>\n<desc>%s</desc>\n", escaped(title), escaped(description))
	fmt.Fprintf(&svg, `<rect width="%g" height="%g" fill="%s"/>`+"\n", width, height, p.theme.background)
	svg.Write(p.shapes.Bytes())
	for _, l := range p.labels {
		fmt.Fprintf(&svg, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%g"%s fill="%s">%s</text>`+"\n",
			l.x, l.y, l.anchor, l.size, map[bool]string{true: ` font-weight="bold"`}[l.bold], p.theme.text, escaped(l.words))
	}
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

func escaped(words string) string {
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(words)) // a Builder accepts everything
	return text.String()
}

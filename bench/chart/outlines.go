package chart

import (
	"fmt"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// outlines is an SVG whose words are shapes. A reader's fonts cannot make a word wider
// than the room that the plotting library has left for it, and a label that is set in
// another font was cut. Readers that cannot see the picture get its desc element.
type outlines struct{ *vgsvg.Canvas }

// FillString fills the outlines of the glyphs of words, from the baseline at on.
func (c outlines) FillString(face font.Face, at vg.Point, words string) {
	g := glyphs{face: face.Face, perEm: fixed.I(int(face.Face.UnitsPerEm()))}
	scale := face.Font.Size / vg.Length(face.Face.UnitsPerEm())
	for _, r := range words {
		path, advance := g.outline(r, at, scale)
		if len(path) > 0 {
			c.Fill(path)
		}
		at.X += scale * advance
	}
}

// glyphs reads the shapes of a font, in units of the font.
type glyphs struct {
	face   *sfnt.Font
	perEm  fixed.Int26_6
	buffer sfnt.Buffer
}

// outline returns the shape of r with its origin at origin, and its width in units of
// the font. The fonts are those of the plotting library, so they have every glyph of the
// names and figures of this program.
func (g *glyphs) outline(r rune, origin vg.Point, scale vg.Length) (path vg.Path, advance vg.Length) {
	index, err := g.face.GlyphIndex(&g.buffer, r)
	must(err)
	segments, err := g.face.LoadGlyph(&g.buffer, index, g.perEm, nil)
	must(err)
	at := func(p fixed.Point26_6) vg.Point { // y grows downwards in fonts
		return vg.Point{X: origin.X + scale*units(p.X), Y: origin.Y - scale*units(p.Y)}
	}
	for _, s := range segments {
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			if len(path) > 0 {
				path.Close()
			}
			path.Move(at(s.Args[0]))
		case sfnt.SegmentOpLineTo:
			path.Line(at(s.Args[0]))
		case sfnt.SegmentOpQuadTo:
			path.QuadTo(at(s.Args[0]), at(s.Args[1]))
		case sfnt.SegmentOpCubeTo:
			path.CubeTo(at(s.Args[0]), at(s.Args[1]), at(s.Args[2]))
		}
	}
	if len(path) > 0 { // a space has no shape
		path.Close()
	}
	width, err := g.face.GlyphAdvance(&g.buffer, index, g.perEm, 0)
	must(err)
	return path, units(width)
}

func units(x fixed.Int26_6) vg.Length { return vg.Length(x) / 64 }

func must(err error) {
	if err != nil {
		panic(fmt.Errorf("chart: read a glyph: %w", err))
	}
}

package chart

import (
	"strings"
	"unicode"
)

// widest returns a width, in pixels, that words of a size do not exceed in a usual font.
// The reader's browser chooses the font, so a chart leaves this much room for its words.
// The classes below cover the widths of DejaVu Sans, which are those of Verdana, and of
// monospace fonts, in which an i is as wide as an n.
func widest(words string, size float64, bold bool) float64 {
	em := 0.0
	for _, r := range words {
		em += widestGlyph(r)
	}
	if bold {
		em *= 1.12
	}
	return em * size
}

// widestGlyph returns the width of a glyph as a fraction of the size of the font.
func widestGlyph(r rune) float64 {
	switch {
	case strings.ContainsRune("mwMW%@", r):
		return 1.1
	case strings.ContainsRune("+<>=×", r):
		return 0.85
	case unicode.IsUpper(r):
		return 0.8
	case unicode.IsLower(r) && !strings.ContainsRune("fijlrt", r), unicode.IsDigit(r):
		return 0.66
	}
	return 0.62
}

// wrap breaks words into lines that fit a width in a usual font.
func wrap(words string, size float64, bold bool, width float64) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(words) {
		longer := strings.TrimSpace(line + " " + word)
		if line != "" && widest(longer, size, bold) > width {
			lines = append(lines, line)
			longer = word
		}
		line = longer
	}
	return append(lines, line)
}

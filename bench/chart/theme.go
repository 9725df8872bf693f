package chart

import "image/color"

// A Theme colours a chart for one background.
type Theme struct {
	Name       string // part of the file name
	background color.Color
	text       color.Color
	grid       color.Color
	peers      []color.Color // one for each series
	reference  []color.Color // the same for Genie
}

// Themes fit the two backgrounds a README is read on.
var Themes = []Theme{
	{
		Name:       "light",
		background: rgb(0xffffff),
		text:       rgb(0x24292f),
		grid:       rgb(0xdfe3e8),
		peers:      []color.Color{rgb(0x7d8793), rgb(0xc0c7d0)},
		reference:  []color.Color{rgb(0x0b6bcb), rgb(0x6db1f2)},
	},
	{
		Name:       "dark",
		background: rgb(0x0d1117),
		text:       rgb(0xdbe2ea),
		grid:       rgb(0x2a313a),
		peers:      []color.Color{rgb(0x8b949e), rgb(0x4c545e)},
		reference:  []color.Color{rgb(0x4aa3ff), rgb(0x1f5fa8)},
	},
}

func rgb(hex uint32) color.Color {
	return color.RGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 0xff}
}

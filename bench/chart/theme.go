package chart

// A color is written as SVG has it: # and six hexadecimal digits.
type color string

// A Theme colours a chart for one background. A test holds the words to the contrast
// of 4.5 to 1 that WCAG 2 asks for, and the bars to 3 to 1.
type Theme struct {
	Name       string // part of the file name
	background color
	band       color // behind the bars of Genie
	text       color
	grid       color
	peers      color // bars of all other systems
	reference  color // bars of Genie
}

// Themes fit the two backgrounds a README is read on.
var Themes = []Theme{
	{
		Name:       "light",
		background: "#ffffff",
		band:       "#e8f1fb",
		text:       "#24292f",
		grid:       "#d5dae0",
		peers:      "#6b7480",
		reference:  "#0b5cad",
	},
	{
		Name:       "dark",
		background: "#0d1117",
		band:       "#16263a",
		text:       "#dbe2ea",
		grid:       "#333b45",
		peers:      "#8b949e",
		reference:  "#58a6ff",
	},
}

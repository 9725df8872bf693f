package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// writeTable writes one Markdown table, with a row for each system.
func writeTable(w io.Writer, contestants []*contestant) error {
	head := []string{"system", "Set returns when"}
	for _, c := range columns {
		head = append(head, string(c))
	}
	head = append(head, "after a cut", "after a cut, history gone")
	rows := [][]string{head, slices.Repeat([]string{"---"}, len(head))}
	for _, c := range contestants {
		rows = append(rows, c.row(contestants[0]))
	}
	for _, row := range rows {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | ")); err != nil {
			return err
		}
	}
	return nil
}

func (c *contestant) row(first *contestant) []string {
	cells := []string{c.name, c.promise}
	for _, of := range columns {
		cells = append(cells, cell(c.figures[of], first.figures[of]))
	}
	return append(cells, c.words[0], c.words[1])
}

// cell gives the median of the rounds, their range, and the median of the ratios to the first
// system in the same round.
func cell(figures, first []float64) string {
	ratios := make([]float64, len(figures))
	for i := range figures {
		ratios[i] = figures[i] / first[i]
	}
	return fmt.Sprintf("%s (%s to %s), ×%.2f", short(median(figures)), short(slices.Min(figures)), short(slices.Max(figures)), median(ratios))
}

// short gives about three digits.
func short(figure float64) string {
	switch {
	case figure < 10:
		return fmt.Sprintf("%.2f", figure)
	case figure < 100:
		return fmt.Sprintf("%.1f", figure)
	}
	return fmt.Sprintf("%.0f", figure)
}

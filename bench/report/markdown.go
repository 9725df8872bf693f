package report

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
)

// WriteMarkdown writes the results to path as tables.
func (r *Results) WriteMarkdown(path string) error {
	var page Page
	page.preface(r)
	for _, table := range r.tables() {
		page.table(r, table)
	}
	page.notMeasured(r)
	page.faults(r)
	page.failures(r)
	return os.WriteFile(path, page.Bytes(), 0o644)
}

// tables lists the tables in the order of their first figures.
func (r *Results) tables() []string {
	return distinct(r.Rows, func(row Row) string { return row.Table })
}

func (r *Results) columns(table string) []string {
	rows := slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return row.Table != table })
	return distinct(rows, func(row Row) string { return row.Column })
}

func distinct[T any](items []T, name func(T) string) []string {
	var names []string
	for _, item := range items {
		if n := name(item); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// Unit returns the unit of a column.
func (r *Results) Unit(table, column string) measure.Unit {
	for _, row := range r.Rows {
		if row.Table == table && row.Column == column {
			return row.Unit
		}
	}
	return ""
}

// Ranking returns the systems of a column: the best first, the systems without a
// figure last.
func (r *Results) Ranking(table, column string) []string {
	names := distinct(r.Systems, func(s System) string { return s.Name })
	better := 1.0
	if r.Unit(table, column).HigherIsBetter() {
		better = -1
	}
	slices.SortStableFunc(names, func(a, b string) int {
		x, hasX := r.Summary(a, table, column)
		y, hasY := r.Summary(b, table, column)
		if hasX != hasY {
			return map[bool]int{true: -1, false: 1}[hasX]
		}
		return cmp.Compare(better*x.Median, better*y.Median)
	})
	return names
}

// A Page is a Markdown document under construction.
type Page struct{ bytes.Buffer }

// Line adds a line.
func (p *Page) Line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *Page) row(cells ...string) { p.Line("| %s |", strings.Join(cells, " | ")) }

// textHead starts a table of text.
func (p *Page) textHead(cells ...string) {
	p.Line("")
	p.row(cells...)
	p.Line("|%s", strings.Repeat("---|", len(cells)))
}

// figureHead starts a table with text in the first column and figures in the
// rest.
func (p *Page) figureHead(cells ...string) {
	p.Line("")
	p.row(cells...)
	p.Line("|---|%s", strings.Repeat("---:|", len(cells)-1))
}

func (p *Page) preface(r *Results) {
	p.Head("Results", r.Head)
	p.Line("\nA cell is the median over the repeats, with the lowest and the highest in brackets.")
	p.Line("An arrow tells which way is better, ↑ up or ↓ down.")
	p.Line("A ratio is the system's figure divided by Genie's in the same repeat.")
	p.Line("A dash means that the system lacks the operation, or that the measurement failed (see the end).")
	p.systems(r)
	p.modules(r)
}

func (p *Page) systems(r *Results) {
	p.Line("\n## Systems")
	p.textHead("system", "bulk reads see", "a backup holds", "after a backup")
	for _, s := range r.Systems {
		p.row(emphasize(s.Name), orDash(s.Bulk), orDash(s.Snapshot), s.Durable)
	}
}

func (p *Page) modules(r *Results) {
	p.textHead("module", "version")
	for _, m := range r.Build.Modules {
		p.row(m.Path, m.Version)
	}
}

func (p *Page) table(r *Results, table string) {
	p.Line("\n## %s", capitalized(table))
	columns := r.columns(table)
	p.grid(r, table, columns, heading(r, table, columns), r.figureCell)
	p.grid(r, table, columns, append([]string{"ratio to Genie"}, columns...), r.ratioCell)
}

func heading(r *Results, table string, columns []string) []string {
	cells := []string{"system"}
	for _, column := range columns {
		direction := "↓"
		if r.Unit(table, column).HigherIsBetter() {
			direction = "↑"
		}
		cells = append(cells, column+" "+direction)
	}
	return cells
}

// notMeasured names the tables of rates that the run left out, or did not have
// yet when an older program wrote the results.
func (p *Page) notMeasured(r *Results) {
	for _, table := range measure.RateTables() {
		if !slices.Contains(r.tables(), table) {
			p.Line("\n## %s\n\nNot measured.", capitalized(table))
		}
	}
}

func capitalized(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

type cell func(system, table, column string) string

func (p *Page) grid(r *Results, table string, columns, head []string, content cell) {
	p.figureHead(head...)
	for _, system := range r.Ranking(table, columns[0]) {
		cells := []string{emphasize(system)}
		for _, column := range columns {
			cells = append(cells, content(system, table, column))
		}
		p.row(cells...)
	}
}

func (r *Results) figureCell(system, table, column string) string {
	s, ok := r.Summary(system, table, column)
	if !ok {
		return "–"
	}
	unit := r.Unit(table, column)
	return s.Text(func(value float64) string { return Figure(value, unit) })
}

func (r *Results) ratioCell(system, table, column string) string {
	s, ok := r.Ratio(system, peer.Reference, table, column)
	if !ok {
		return "–"
	}
	return s.Text(Digits)
}

// Text is the median and, in brackets, the range. Text leaves the range out if all values are equal, as after a single repeat.
func (s Summary) Text(figure func(float64) string) string {
	if s.Min == s.Max {
		return figure(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", figure(s.Median), figure(s.Min), figure(s.Max))
}

func (p *Page) faults(r *Results) {
	for _, kind := range distinct(r.Faults, func(f Fault) string { return f.Kind }) {
		p.Line("\n## Fault: %s", kind)
		p.textHead("system", "answer of the save", "the next process finds")
		for _, f := range r.Faults {
			if f.Kind == kind {
				p.row(emphasize(f.System), orDash(f.Save), f.Verdict())
			}
		}
	}
}

func (p *Page) failures(r *Results) {
	if len(r.Failures) == 0 {
		return
	}
	p.Line("\n## Failed measurements")
	p.textHead("system", "task", "repeat", "reason")
	for _, f := range r.Failures {
		p.row(emphasize(f.System), f.Task, fmt.Sprint(f.Repeat), f.Reason)
	}
}

func emphasize(system string) string {
	if system == peer.Reference {
		return "**" + system + "**"
	}
	return system
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

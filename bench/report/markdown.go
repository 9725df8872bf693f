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
	var page page
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

// A page is a Markdown document under construction.
type page struct{ bytes.Buffer }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) row(cells ...string) { p.line("| %s |", strings.Join(cells, " | ")) }

// head starts a table of text.
func (p *page) head(cells ...string) {
	p.line("")
	p.row(cells...)
	p.line("|%s", strings.Repeat("---|", len(cells)))
}

// figureHead starts a table with text in the first column and figures in the
// rest.
func (p *page) figureHead(cells ...string) {
	p.line("")
	p.row(cells...)
	p.line("|---|%s", strings.Repeat("---:|", len(cells)-1))
}

func (p *page) preface(r *Results) {
	p.line("# Results\n")
	p.line("Written by the program in bench; [its README](../README.md) explains the measurements.\n")
	p.line("- Date: %s", r.Date.Format("2006-01-02"))
	p.line("- Machine: %s, %d cores (GOMAXPROCS %d), %s", r.Machine.CPU, r.Machine.Cores, r.Machine.MaxProcs, r.Machine.Memory)
	p.line("- System: %s, %s, backups on %s", r.Machine.System, r.Machine.Kernel, r.Machine.FileSystem)
	p.line("- Go: %s %s", r.Build.Go, r.Build.Target)
	p.line("- Command: %s", r.command())
	p.line("- Runs: %s", r.runs())
	p.line("- Settings: %s", r.Settings)
	p.line("\nA cell is the median over the repeats, with the lowest and the highest in brackets.")
	p.line("An arrow tells which way is better, ↑ up or ↓ down.")
	p.line("A ratio is the system's figure divided by Genie's in the same repeat.")
	p.line("A dash means that the system lacks the operation, or that the measurement failed (see the end).")
	p.systems(r)
	p.modules(r)
}

func (r *Results) command() string {
	if r.Command == "" {
		return "not recorded"
	}
	return "`" + r.Command + "`"
}

func (r *Results) runs() string {
	if r.Runs == 0 {
		return "not recorded"
	}
	return fmt.Sprint(r.Runs)
}

func (p *page) systems(r *Results) {
	p.line("\n## Systems")
	p.head("system", "bulk reads see", "a backup holds", "after a backup")
	for _, s := range r.Systems {
		p.row(emphasize(s.Name), orDash(s.Bulk), orDash(s.Snapshot), s.Durable)
	}
}

func (p *page) modules(r *Results) {
	p.head("module", "version")
	for _, m := range r.Build.Modules {
		p.row(m.Path, m.Version)
	}
}

func (p *page) table(r *Results, table string) {
	p.line("\n## %s", capitalized(table))
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
func (p *page) notMeasured(r *Results) {
	for _, table := range measure.RateTables() {
		if !slices.Contains(r.tables(), table) {
			p.line("\n## %s\n\nNot measured.", capitalized(table))
		}
	}
}

func capitalized(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

type cell func(system, table, column string) string

func (p *page) grid(r *Results, table string, columns, head []string, content cell) {
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
	return s.text(func(value float64) string { return Figure(value, unit) })
}

func (r *Results) ratioCell(system, table, column string) string {
	s, ok := r.Ratio(system, peer.Reference, table, column)
	if !ok {
		return "–"
	}
	return s.text(digits)
}

// text leaves the range out if all values are equal, as after a single repeat.
func (s Summary) text(figure func(float64) string) string {
	if s.Min == s.Max {
		return figure(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", figure(s.Median), figure(s.Min), figure(s.Max))
}

func (p *page) faults(r *Results) {
	for _, kind := range distinct(r.Faults, func(f Fault) string { return f.Kind }) {
		p.line("\n## Fault: %s", kind)
		p.head("system", "answer of the save", "the next process finds")
		for _, f := range r.Faults {
			if f.Kind == kind {
				p.row(emphasize(f.System), orDash(f.Save), f.Verdict())
			}
		}
	}
}

func (p *page) failures(r *Results) {
	if len(r.Failures) == 0 {
		return
	}
	p.line("\n## Failed measurements")
	p.head("system", "task", "repeat", "reason")
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

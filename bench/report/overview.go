package report

import (
	"fmt"
	"os"

	"github.com/windevkay/forge/genie/bench/measure"
)

// An overviewColumn is a column of the results under a shorter heading.
type overviewColumn struct{ heading, table, column string }

func overviewColumns(entries int) []overviewColumn {
	size := measure.Count(entries)
	return []overviewColumn{
		{"reads a second", measure.ReadTable, measure.ForCallers(64)},
		{"writes a second", measure.WriteTable, measure.ForCallers(64)},
		{"reads of 1 000 at once, entries a second", measure.BulkTable, measure.ForCallers(64)},
		{"backup of " + size, measure.BackupAlone(entries), "time"},
		{"slowest read meanwhile", measure.BackupPaced(entries), measure.SlowestRead},
		{"slowest write meanwhile", measure.BackupPaced(entries), measure.SlowestWrite},
		{"load of " + size, "load of " + size + " entries", "time"},
		{"memory an entry", "memory", "per entry, at " + size},
	}
}

// Overview returns the columns that a first reader wants as one table, for README:
// the medians. The systems are in the order of the slowest read during a backup.
func (r *Results) Overview() string {
	var page Page
	columns := overviewColumns(r.Sizes[0])
	cells := []string{"system"}
	for _, c := range columns {
		cells = append(cells, c.heading)
	}
	page.figureHead(cells...)
	for _, system := range r.Ranking(measure.BackupPaced(r.Sizes[0]), measure.SlowestRead) {
		cells = []string{emphasize(system)}
		for _, c := range columns {
			cells = append(cells, r.median(system, c))
		}
		page.row(cells...)
	}
	return fmt.Sprintf("%s\n%s, %s, %s, %s; medians of %s by `%s` in bench, 64 callers.\n", page.String(),
		r.Date.Format("2006-01-02"), r.Machine.CPU, plural(r.Machine.Cores, "processor"), r.Machine.FileSystem,
		plural(r.Runs, "run"), r.Command)
}

func (r *Results) median(system string, c overviewColumn) string {
	s, ok := r.Summary(system, c.table, c.column)
	if !ok {
		return "–"
	}
	return Figure(s.Median, r.Unit(c.table, c.column))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// WriteOverview writes the overview to path.
func (r *Results) WriteOverview(path string) error {
	return os.WriteFile(path, []byte(r.Overview()), 0o644)
}

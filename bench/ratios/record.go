package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/windevkay/forge/genie/bench/report"
)

// A record is a run as it is kept: as JSON, and as Markdown for people.
type record struct {
	report.Head
	Comparisons []comparison `json:"comparisons"`
}

func newRecord(m *measurement, command string) *record {
	return &record{Head: report.Head{
		Date:    time.Now().UTC(),
		Machine: report.DescribeMachine(os.TempDir()),
		Build:   report.DescribeBuild(nil),
		Command: command,
		Runs:    1,
		Settings: fmt.Sprintf("rounds: %d, in each of which the sides take turns; a rate takes %v, beside computing goroutines %v, longer for steps, Sync and watchers",
			m.rounds, m.idleWindow(), m.window),
	}}
}

// preface explains the tables that follow.
func (r *record) preface() string {
	var page report.Page
	page.Head("Ratios", r.Head)
	page.Line(`
A ratio is the figure of the measured side divided by the other side's in the same round: the median of the rounds, with
the lowest and the highest in brackets. Of two times the smaller is better, so there a ratio below 1 means that the measured
side is faster; of two rates the larger is better. A figure is the median of the rounds.

"64 callers" are goroutines that call at once, each of which waits for its answer before it calls again. Their time is the time from
one answer to the next of any of them, not the time that one caller waits; the rate counts the calls of all.

The authors of Genie set the targets for themselves: a ratio that they would call good enough. No standard and no user asks for
them. A target that was missed stays in the table, and a dash is a ratio without a target.`)
	return page.String()
}

// section is the table of a group, with aligned columns for those who read it in a
// terminal.
func section(group string, comparisons []comparison) string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n## %s\n\n", group)
	table := tabwriter.NewWriter(&text, 0, 0, 1, ' ', 0)
	row := func(cells []string) {
		for _, cell := range cells {
			fmt.Fprintf(table, "| %s\t", cell)
		}
		fmt.Fprintln(table, "|")
	}
	row(columns)
	row(strings.Fields(strings.Repeat("--- ", len(columns))))
	for _, c := range comparisons {
		row(c.cells())
	}
	_ = table.Flush() // a Builder accepts everything
	return text.String()
}

// write writes the record into a folder. The files of a run of some groups have another
// name: they must not replace those of a complete run.
func (r *record) write(dir, only string) error {
	name := "ratios"
	if only != "" {
		name = "partial-ratios"
	}
	path := filepath.Join(dir, name)
	return errors.Join(
		os.MkdirAll(dir, 0o755),
		report.WriteJSON(path+".json", r),
		os.WriteFile(path+".md", []byte(r.markdown()), 0o644),
	)
}

func (r *record) markdown() string {
	text := r.preface()
	for begin := 0; begin < len(r.Comparisons); {
		end := begin
		for end < len(r.Comparisons) && r.Comparisons[end].Group == r.Comparisons[begin].Group {
			end++
		}
		text += section(r.Comparisons[begin].Group, r.Comparisons[begin:end])
		begin = end
	}
	return text
}

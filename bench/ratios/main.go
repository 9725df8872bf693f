// Ratios measures what the documentation says of Genie's speed and memory, each
// claim as a ratio of two things measured in turns in one run, and prints a
// table. Machines are shared and clocks drift; a ratio of medians stands that.
//
//	go run ./ratios                   # everything, some minutes
//	go run ./ratios -only ask  # the ratios whose name has "ask" in it
//	go run ./ratios -guard     # exit 1 if an ask has become slow
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
)

// A claim measures something and says what came out.
type claim struct {
	name    string
	measure func(*table) error
}

var claims = []claim{
	{"ask and tell", askAndTell},
	{"view", viewsOfAnySize},
	{"reads in View", readsInView},
	{"keys in Update", keysInUpdate},
	{"during a backup", duringABackup},
	{"during a backup, one processor", onOneProcessor(duringABackup)},
	{"backup and load", backupAndLoad},
	{"longest turn", longestTurn},
}

func main() {
	only := flag.String("only", "", "measure the ratios whose `name` has this in it")
	guard := flag.Bool("guard", false, "check asks and tells alone, with room for noise, and fail if they are slow")
	flag.Parse()
	if err := run(*only, *guard); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

func run(only string, guard bool) error {
	if guard {
		return guardAsks()
	}
	fmt.Printf("%s, %d processors, GOMAXPROCS %d\n", runtime.Version(), runtime.NumCPU(), runtime.GOMAXPROCS(0))
	for _, c := range claims {
		if !strings.Contains(c.name, only) {
			continue
		}
		fmt.Printf("\n%s\n", c.name)
		t := newTable()
		if err := c.measure(t); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		t.w.Flush()
	}
	return nil
}

// A table is rows of what was measured, beside what, the ratio, and the target.
type table struct{ w *tabwriter.Writer }

func newTable() *table {
	return &table{tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
}

// ratio adds a row for got against base, of the same unit. At most (or, for a
// negative target, at least) target times base is what is claimed.
func (t *table) ratio(what string, got, base float64, unit string, target float64) {
	r := got / base
	verdict, relation := "met", "<="
	if target < 0 {
		target, relation = -target, ">="
	}
	if (relation == "<=") != (r <= target) {
		verdict = "MISSED"
	}
	fmt.Fprintf(t.w, "  %s\t%.4g\t/ %.4g %s\t= %.3g\t(%s %g: %s)\n", what, got, base, unit, r, relation, target, verdict)
}

func onOneProcessor(measure func(*table) error) func(*table) error {
	return func(t *table) error {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		return measure(t)
	}
}

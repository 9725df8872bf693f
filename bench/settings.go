package main

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
	"github.com/windevkay/forge/genie/bench/report"
)

// settings are the values of the flags.
type settings struct {
	command string // the command line that gives these settings
	draw    bool
	quick   bool
	repeats int
	entries int           // in the stores whose rates are measured
	sizes   []int         // of the stores that are backed up
	window  time.Duration // of each rate
	limit   time.Duration // of each process
	only    []string      // names of systems; empty means all
	tasks   []string      // names of tasks; empty means all
	out     string        // folder of the results
	work    string        // folder for backups; empty means the system's temporary one
}

const faults = "faults"

// allTasks lists the tasks in the order of a run. A load comes with its backup.
var allTasks = []string{
	string(measure.Reads), string(measure.Writes), string(measure.Mixed), string(measure.Bulk),
	string(measure.Increments), string(measure.BesideComputing), string(measure.Backup), faults,
}

func parseFlags(flags *flag.FlagSet, args []string) (settings, error) {
	var s settings
	var sizes, only, tasks string
	flags.BoolVar(&s.draw, "draw", false, "draw the charts from the results and measure nothing")
	flags.BoolVar(&s.quick, "quick", false, "small sizes, short windows, one repeat; the results are named quick.*")
	flags.IntVar(&s.repeats, "repeat", 5, "`times` to measure everything")
	flags.IntVar(&s.entries, "entries", 100_000, "`number` of entries while rates are measured")
	flags.StringVar(&sizes, "keys", "1000000,4000000", "`numbers` of entries to back up, with commas")
	flags.DurationVar(&s.window, "window", 500*time.Millisecond, "how long each rate is measured")
	flags.DurationVar(&s.limit, "limit", 10*time.Minute, "`time` after which a measuring process is given up")
	flags.StringVar(&only, "only", "", "measure the `systems` whose names contain one of these, and Genie, with commas")
	flags.StringVar(&tasks, "tasks", "", "run these `tasks` only, with commas: "+strings.Join(allTasks, ","))
	flags.StringVar(&s.out, "out", "results", "`folder` of the results")
	flags.StringVar(&s.work, "work", "", "`folder` to put backups in, on the file system to measure")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.only, s.tasks, s.command = split(only), split(tasks), report.CommandLine("go run .", flags)
	if s.quick {
		s.reduce(flags)
	}
	return s.withSizes(flags.Lookup("keys").Value.String())
}

// reduce takes the small values for all flags that the user did not set.
func (s *settings) reduce(flags *flag.FlagSet) {
	small := map[string]string{
		"repeat": "1", "entries": "20000", "keys": "100000", "window": "100ms", "limit": "1m",
	}
	flags.Visit(func(f *flag.Flag) { delete(small, f.Name) })
	for name, value := range small {
		_ = flags.Set(name, value) // the values above are valid
	}
}

func (s settings) withSizes(list string) (settings, error) {
	for _, text := range split(list) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return s, fmt.Errorf("-keys: %q is not a number of entries", text)
		}
		s.sizes = append(s.sizes, n)
	}
	for _, task := range s.tasks {
		if !slices.Contains(allTasks, task) {
			return s, fmt.Errorf("-tasks: %q is not one of %s", task, strings.Join(allTasks, ", "))
		}
	}
	if s.repeats < 1 || s.entries < 1 {
		return s, fmt.Errorf("-repeat and -entries must be at least 1")
	}
	return s, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func (s settings) wants(task string) bool {
	return len(s.tasks) == 0 || slices.Contains(s.tasks, task)
}

// systems returns the systems to measure, always with Genie, which the ratios
// need.
func (s settings) systems() []peer.System {
	return slices.DeleteFunc(peer.Systems(), func(system peer.System) bool {
		wanted := len(s.only) == 0 || system.Name == peer.Reference
		for _, part := range s.only {
			wanted = wanted || strings.Contains(system.Name, part)
		}
		return !wanted
	})
}

const completeName = "results"

// name returns the file name of the results. Partial results must not replace
// complete ones.
func (s settings) name() string {
	switch {
	case s.quick:
		return "quick"
	case len(s.only)+len(s.tasks) > 0:
		return "partial"
	}
	return completeName
}

func (s settings) String() string {
	sizes := make([]string, len(s.sizes))
	for i, n := range s.sizes {
		sizes[i] = measure.Count(n)
	}
	return fmt.Sprintf("repeats: %d; rates over %v, beside computing goroutines %v, at %s entries; backups of %s entries",
		s.repeats, s.window, measure.ComputingWindows*s.window, measure.Count(s.entries), strings.Join(sizes, " and "))
}

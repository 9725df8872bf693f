// Ratios measures Genie's speed and memory as ratios of two sides, measured in
// turns in one run, and prints tables as Markdown. Machines are shared and clocks
// drift; a ratio of two figures of one round withstands both.
//
//	go run ./ratios                  # everything, half an hour
//	go run ./ratios -out results     # the same, kept in results/ratios.md and .json
//	go run ./ratios -only beside     # the groups with "beside" in their names
//	go run ./ratios -guard           # exit 1 if a Get or a Set has become slow
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/windevkay/forge/genie/bench/report"
)

// A group is a table of ratios.
type group struct {
	name    string
	measure func(*measurement) error
}

func groups() []group {
	list := []group{
		{"calls, idle", calls(0)},
		{"calls, idle, one processor", onProcessors(1, calls(0))},
		{"Set among many", setAmongMany},
		{"calls of one key", callsOfOneKey},
		{"calls of one key, one processor", onProcessors(1, callsOfOneKey)},
		{"entries that end", entriesThatEnd},
		{"views", viewsOfAnySize},
		{"reads in View", readsInView},
		{"keys in Update", keysInUpdate},
		{"during a backup", duringABackup},
		{"during a backup, one processor", onProcessors(1, duringABackup)},
		{"backup and load", backupAndLoad},
		{"longest write", longestWrite},
		{"steps", steps},
		{"Set beside ticks", setBesideTicks},
		{"Sync", syncs},
		{"Sync during a backup", syncDuringABackup},
		{"Set beside a watcher", setBesideAWatcher},
	}
	for _, processors := range []int{1, 2} {
		for _, computing := range []int{2, 4} {
			where := fmt.Sprintf("beside %d computing goroutines, GOMAXPROCS %d", computing, processors)
			list = append(list,
				group{"calls " + where, onProcessors(processors, calls(computing))},
				group{"backups " + where, onProcessors(processors, backupsBeside(computing))},
			)
		}
	}
	return list
}

// settings are the values of the flags.
type settings struct {
	command string // the command line that gives these settings
	only    string
	guard   bool
	out     string // folder to keep the run in, or empty
	rounds  int
	window  time.Duration
}

func main() {
	s, err := parseFlags(flag.CommandLine, os.Args[1:])
	if err == nil {
		err = run(s, groups(), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

func parseFlags(flags *flag.FlagSet, args []string) (settings, error) {
	var s settings
	flags.StringVar(&s.only, "only", "", "measure the groups with this in their `name`")
	flags.BoolVar(&s.guard, "guard", false, "check Get and Set alone, with room for noise, and fail if they are slow")
	flags.StringVar(&s.out, "out", "", "`folder` to keep the run in, as ratios.md and ratios.json, or partial-ratios.* with -only")
	flags.IntVar(&s.rounds, "rounds", 5, "`times` to measure each side of a ratio")
	flags.DurationVar(&s.window, "window", time.Second, "how long a rate beside computing goroutines is measured; an idle one takes a fifth")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.command = report.CommandLine("go run ./ratios", flags)
	switch {
	case s.rounds < 1 || s.window <= 0:
		return s, errors.New("-rounds must be at least 1, and -window positive")
	case s.guard && s.out != "":
		return s, errors.New("-guard has no ratios to keep in -out")
	}
	return s, nil
}

func run(s settings, groups []group, out io.Writer) error {
	m := &measurement{rounds: s.rounds, window: s.window}
	if s.guard {
		return m.guard(out)
	}
	kept := newRecord(m, s.command)
	fmt.Fprint(out, kept.preface())
	for _, g := range groups {
		if !strings.Contains(g.name, s.only) {
			continue
		}
		m.group, m.comparisons = g.name, nil
		if err := g.measure(m); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		fmt.Fprint(out, section(g.name, m.comparisons))
		kept.Comparisons = append(kept.Comparisons, m.comparisons...)
		// Written after each group: an interrupted run keeps its figures.
		if err := s.keep(kept); err != nil {
			return err
		}
	}
	return nil
}

func (s settings) keep(r *record) error {
	if s.out == "" {
		return nil
	}
	return r.write(s.out, s.only)
}

func onProcessors(n int, measure func(*measurement) error) func(*measurement) error {
	return func(m *measurement) error {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
		return measure(m)
	}
}

// Ratios measures Genie's speed and memory as ratios of two sides, measured in
// turns in one run, and prints tables as Markdown. Machines are shared and clocks drift; a
// ratio of medians withstands both.
//
//	go run ./ratios                  # everything, half an hour
//	go run ./ratios -only beside     # the groups with "beside" in their names
//	go run ./ratios -guard           # exit 1 if a Get or a Set has become slow
package main

import (
	"flag"
	"fmt"
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

func main() {
	only := flag.String("only", "", "measure the groups with this in their `name`")
	guard := flag.Bool("guard", false, "check Get and Set alone, with room for noise, and fail if they are slow")
	m := &measurement{out: os.Stdout}
	flag.IntVar(&m.rounds, "rounds", 5, "`times` to measure each side of a ratio")
	flag.DurationVar(&m.window, "window", time.Second, "how long a rate beside computing goroutines is measured; an idle one takes a fifth")
	flag.Parse()
	if err := run(m, *only, *guard); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

func run(m *measurement, only string, guard bool) error {
	if guard {
		return m.guard()
	}
	m.printf("# Ratios\n\n"+
		"Written on %s by `%s` in bench.\n"+
		"%s; %s, %d processors, GOMAXPROCS %d unless a name says otherwise.\n"+
		"Medians of %d rounds in turns; a rate takes %v, beside computing goroutines %v.\n",
		time.Now().Format(time.DateOnly), strings.Join(append([]string{"go run ./ratios"}, os.Args[1:]...), " "),
		report.DescribeMachine(os.TempDir()).CPU, runtime.Version(), runtime.NumCPU(), runtime.GOMAXPROCS(0), m.rounds, m.idleWindow(), m.window)
	for _, g := range groups() {
		if !strings.Contains(g.name, only) {
			continue
		}
		m.printf("\n## %s\n\n", g.name)
		if err := g.measure(m); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return nil
}

func onProcessors(n int, measure func(*measurement) error) func(*measurement) error {
	return func(m *measurement) error {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
		return measure(m)
	}
}

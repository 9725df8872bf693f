// Durable measures writes that survive a crash the moment they return, in Genie and in
// the stores that a Go user would pick for that, and writes that survive it a second
// later. All do the same work in turns in one run, and the table is Markdown.
//
//	go run ./durable            # some minutes; -help lists the flags
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
)

var callerCounts = []int{1, 16, 64}

const entries = 100_000

func main() {
	rounds := flag.Int("rounds", 3, "`times` to measure each system")
	window := flag.Duration("window", time.Second, "how long each rate is measured")
	work := flag.String("work", os.TempDir(), "`folder` of the files; choose the file system to measure")
	flag.Parse()
	machine := report.DescribeMachine(*work)
	fmt.Printf("# Durable writes\n\nWritten on %s by `%s` in bench.\n%s; %s, %d processors, files on %s.\n"+
		"Medians of %d rounds in turns, %v each; %d entries before; one key of 16 bytes and a value of 50 in each write.\n",
		time.Now().Format(time.DateOnly), strings.Join(append([]string{"go run ./durable"}, os.Args[1:]...), " "),
		machine.CPU, runtime.Version(), runtime.NumCPU(), machine.FileSystem, *rounds, *window, entries)
	var failed error
	for _, promise := range []string{whenItReturns, withinASecond} {
		failed = errors.Join(failed, compare(promise, *rounds, *window, *work))
	}
	if failed != nil {
		fmt.Fprintln(os.Stderr, "durable:", failed)
		os.Exit(1)
	}
}

// compare measures the systems that promise the same, and prints their table.
func compare(promise string, rounds int, window time.Duration, work string) error {
	fmt.Printf("\n## A write survives a crash %s\n\n| system |", promise)
	for _, n := range callerCounts {
		fmt.Printf(" writes a second, %s |", measure.ForCallers(n))
	}
	fmt.Printf("\n|---|%s\n", strings.Repeat("---:|", len(callerCounts)))
	rates := map[string]map[int][]float64{}
	for range rounds {
		for _, s := range systems {
			if s.promise != promise {
				continue
			}
			if rates[s.name] == nil {
				rates[s.name] = map[int][]float64{}
			}
			for _, n := range callerCounts {
				rate, err := s.rate(work, n, window)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				rates[s.name][n] = append(rates[s.name][n], rate)
			}
		}
	}
	for _, s := range systems {
		if s.promise == promise {
			printRow(s.name, rates)
		}
	}
	return nil
}

func printRow(name string, rates map[string]map[int][]float64) {
	fmt.Printf("| %s |", name)
	for _, n := range callerCounts {
		median := report.Summarize(rates[name][n]).Median
		over := median / report.Summarize(rates["Genie"][n]).Median
		fmt.Printf(" %s (%.2f) |", report.Figure(median, measure.PerSecond), over)
	}
	fmt.Println()
}

// rate measures a fresh store of the system with n callers.
func (s system) rate(work string, n int, window time.Duration) (rate float64, err error) {
	dir, err := os.MkdirTemp(work, "genie-durable-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	w, err := s.open(filepath.Join(dir, "store"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	keys := measure.Keys(entries)
	if err := w.fill(keys); err != nil {
		return 0, err
	}
	var calls atomic.Int64
	var failed atomic.Pointer[error]
	rate = measure.Rate(n, window, func(int, int) {
		call := calls.Add(1)
		if err := w.write(keys[call*7919%entries], fmt.Sprintf("%050d", call)); err != nil {
			failed.Store(&err)
		}
	}, func() {})
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return rate, nil
}

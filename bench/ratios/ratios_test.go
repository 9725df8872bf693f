package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/report"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		goal  target
		ratio float64
		want  string
	}{
		{atMost(2), 2, "≤ 2, met"},
		{atMost(2), 2.1, "≤ 2, MISSED"},
		{atLeast(0.7), 0.7, "≥ 0.7, met"},
		{atLeast(0.7), 0.6, "≥ 0.7, MISSED"},
		{noTarget, 1e6, "–"},
	} {
		if got := c.goal.verdict(c.ratio); got != c.want {
			t.Errorf("%+v of %g is %q, want %q", c.goal, c.ratio, got, c.want)
		}
	}
}

// quickly is a measurement with figures that mean nothing.
func quickly() *measurement { return &measurement{rounds: 1, window: 5 * time.Millisecond} }

func TestCallsHaveARowForEveryKindOtherSideAndNumberOfCallers(t *testing.T) {
	m := quickly()
	if err := calls(0)(m); err != nil {
		t.Fatal(err)
	}
	if got, want := len(m.comparisons), len(kinds)*3*4; got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
}

func TestAStarvedCallEndsAndShows(t *testing.T) {
	m := quickly()
	starved := func() error { time.Sleep(10 * m.window); return nil }
	if err := m.besideAndIdle(1, "starved", starved); err != nil {
		t.Fatal(err)
	}
	cells := m.comparisons[0].cells()
	if !strings.HasPrefix(cells[1], "over ") || !strings.HasPrefix(cells[6], "over ") {
		t.Errorf("no sign of the limit in %q", cells)
	}
}

func TestAFailedCallIsReported(t *testing.T) {
	failure := errors.New("disk full")
	if err := quickly().besideAndIdle(0, "failing", func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
}

// TestRatiosAreTakenWithinARound lets the machine be ten times slower in the second of
// three rounds.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	m := quickly()
	m.compare(comparison{Figures: series{2, 20, 3}, Others: series{1, 10, 1}, Target: atMost(2)})
	c := m.comparisons[0]
	if want := (report.Summary{Median: 2, Min: 2, Max: 3}); c.Ratio != want || !c.Met {
		t.Errorf("ratio %+v, met %t, want %+v, met", c.Ratio, c.Met, want)
	}
}

func TestPlainFigures(t *testing.T) {
	for _, c := range []struct {
		comparison comparison
		want       string
	}{
		{comparison{Unit: measure.Seconds, Callers: 1}, "500 ns"},
		{comparison{Unit: measure.Seconds, Callers: 8}, "500 ns, 2.00\u00a0M a second"},
		{comparison{Unit: measure.Seconds, Callers: 8, SingleCalls: true}, "500 ns"},
		{comparison{Unit: measure.Seconds, Callers: 1, Limit: 100}, "over 100 ns"},
	} {
		if got := c.comparison.plain(series{5e-7}); got != c.want {
			t.Errorf("%+v gives %q, want %q", c.comparison, got, c.want)
		}
	}
	if got, want := (comparison{Unit: measure.PerSecond}).plain(series{1500}), "1.50\u00a0k a second"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func parse(args ...string) (settings, error) {
	flags := flag.NewFlagSet("ratios", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return parseFlags(flags, args)
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-window", "0s"}, {"-guard", "-out", "x"}} {
		if _, err := parse(args...); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

// twoGroups are groups without a measurement.
func twoGroups() []group {
	compare := func(ratio float64) func(*measurement) error {
		return func(m *measurement) error {
			m.compare(comparison{Measured: "Get", Against: "a stone", Unit: measure.Seconds,
				Figures: series{ratio * 1e-6}, Others: series{1e-6}, Target: atMost(1)})
			return nil
		}
	}
	return []group{{"fast", compare(0.5)}, {"slow", compare(2)}}
}

func TestARunIsKept(t *testing.T) {
	dir := t.TempDir()
	s, err := parse("-rounds", "1", "-out", dir)
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	if err := run(s, twoGroups(), &printed); err != nil {
		t.Fatal(err)
	}
	kept := read(t, dir, "ratios.md")
	if kept != printed.String() {
		t.Errorf("kept\n%s\nprinted\n%s", kept, printed.String())
	}
	for _, want := range []string{"- Command: `go run ./ratios -rounds 1`\n", "- Runs: 1\n", "## fast\n", "## slow\n", "| ≤ 1, met", "| ≤ 1, MISSED"} {
		if !strings.Contains(kept, want) {
			t.Errorf("no %q in\n%s", want, kept)
		}
	}
	var data record
	if err := json.Unmarshal([]byte(read(t, dir, "ratios.json")), &data); err != nil {
		t.Fatal(err)
	}
	if again := data.markdown(); again != kept {
		t.Errorf("the data gives\n%s\nwant\n%s", again, kept)
	}
}

func TestSomeGroupsDoNotReplaceACompleteRun(t *testing.T) {
	dir := t.TempDir()
	s, err := parse("-only", "slow", "-out", dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(s, twoGroups(), io.Discard); err != nil {
		t.Fatal(err)
	}
	if kept := read(t, dir, "partial-ratios.md"); strings.Contains(kept, "## fast") {
		t.Errorf("a group that was not asked for in\n%s", kept)
	}
	if _, err := os.Stat(filepath.Join(dir, "ratios.md")); err == nil {
		t.Error("ratios.md was written")
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package main

import (
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
	"github.com/windevkay/forge/genie/bench/report"
)

// TestMain lets the test binary serve as a child.
func TestMain(m *testing.M) {
	if isChild() {
		exit(serveJob())
	}
	os.Exit(m.Run())
}

func flagsOf(t *testing.T, args ...string) settings {
	t.Helper()
	s, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(args []string) (settings, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return parseFlags(flags, args)
}

func TestQuickYieldsToExplicitFlags(t *testing.T) {
	s := flagsOf(t, "-quick", "-keys", "7,8")
	if s.repeats != 1 || len(s.sizes) != 2 || s.sizes[1] != 8 {
		t.Errorf("settings %+v", s)
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-keys", "many"}, {"-keys", "0"}, {"-tasks", "sleep"}, {"-repeat", "0"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

func TestOnlyKeepsTheReference(t *testing.T) {
	systems := flagsOf(t, "-only", "otter").systems()
	if len(systems) != 2 || systems[0].Name != peer.Reference {
		t.Errorf("systems %v", systems)
	}
}

func TestTheCommandLineIsRecorded(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "go run ."},
		{"-repeat 3 -window 300ms", "go run . -repeat 3 -window 300ms"},
		{"-quick -work /tmp -out elsewhere", "go run . -quick"},
	} {
		if got := flagsOf(t, strings.Fields(c.args)...).command; got != c.want {
			t.Errorf("%q gives the command %q, want %q", c.args, got, c.want)
		}
	}
	if got, want := flagsOf(t, "-only", "channel actor").command, `go run . -only "channel actor"`; got != want {
		t.Errorf("command %q, want %q", got, want)
	}
}

// TestResultsInTheRepository loads the results of the last complete run, which
// may be older than a table or a field.
func TestResultsInTheRepository(t *testing.T) {
	results, err := report.Read("results/results.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(results.Rows) == 0 {
		t.Error("the results have no figures")
	}
	if err := results.WriteMarkdown(filepath.Join(t.TempDir(), "results.md")); err != nil {
		t.Error(err)
	}
}

// TestReadmeShowsTheResults compares the table of README with the results that are
// kept, so that neither changes alone.
func TestReadmeShowsTheResults(t *testing.T) {
	results, err := report.Read("results/results.json")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	overview, err := os.ReadFile("results/overview.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(overview) != results.Overview() {
		t.Error("results/overview.md is not of results/results.json; run go run . -draw")
	}
	if !strings.Contains(string(readme), results.Overview()) {
		t.Error("README shows another table than results/overview.md; copy that file")
	}
}

// TestTrialsInterleave wants every system once in each stage of each repeat, and
// no two stages mixed.
func TestTrialsInterleave(t *testing.T) {
	s := flagsOf(t, "-repeat", "3", "-keys", "10,20")
	plan, systems := trials(s), len(s.systems())
	if want := 3 * len(stages(s)) * systems; len(plan) != want {
		t.Fatalf("%d trials, want %d", len(plan), want)
	}
	for i := 0; i < len(plan); i += systems {
		seen := make(map[string]bool)
		for _, trial := range plan[i : i+systems] {
			if trial.kind() != plan[i].kind() || trial.repeat != plan[i].repeat {
				t.Errorf("%v among %v", trial, plan[i])
			}
			seen[trial.system] = true
		}
		if len(seen) != systems {
			t.Errorf("%d systems in a stage, want %d", len(seen), systems)
		}
	}
}

func job(t *testing.T) measure.Job {
	return measure.Job{
		System: peer.Reference, Task: measure.Reads, Dir: t.TempDir(),
		Entries: 100, Window: 5 * time.Millisecond, Limit: time.Minute,
	}
}

func TestChildAnswers(t *testing.T) {
	finding, err := runJob(t.Context(), job(t))
	if err != nil || len(finding.Samples) == 0 {
		t.Errorf("finding %+v, error %v", finding, err)
	}
}

func TestChildFails(t *testing.T) {
	j := job(t)
	j.System = "nobody"
	if _, err := runJob(t.Context(), j); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("error %v, want the child's own words", err)
	}
}

func TestChildIsGivenUp(t *testing.T) {
	j := job(t)
	j.Window, j.Limit = time.Hour, 50*time.Millisecond
	if _, err := runJob(t.Context(), j); err == nil || !strings.Contains(err.Error(), "no end within") {
		t.Errorf("error %v, want that time was up", err)
	}
}

func TestReasonNamesTheCause(t *testing.T) {
	said := "some log line\npanic: page 7 at 0xc0ffee in /tmp/x/live\n\ngoroutine 1\n"
	err := reason(context.Background(), io.EOF, said, "/tmp/x")
	if got, want := err.Error(), "panic: page 7 at in live"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

func TestDamageHitsAValue(t *testing.T) {
	home := peer.Home{Dir: t.TempDir()}
	value := measure.Value(faultEntries/2, measure.Old)
	content := strings.Repeat("x", 1000) + value + "yy"
	if err := os.WriteFile(home.Backup(), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := changeOneBit(home.Backup()); err != nil {
		t.Fatal(err)
	}
	damaged, err := os.ReadFile(home.Backup())
	if err != nil {
		t.Fatal(err)
	}
	for i := range content {
		changed, inMiddle := content[i] != damaged[i], i == 1000+len(value)/2
		if changed != inMiddle {
			t.Errorf("byte %d changed: %t", i, changed)
		}
	}
}

package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windevkay/forge/genie/bench/measure"
)

func markdown(t *testing.T, r *Results) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "results.md")
	if err := r.WriteMarkdown(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestOlderResults has neither a command nor the figures beside computing
// goroutines.
func TestOlderResults(t *testing.T) {
	var r Results
	r.Add("Genie", 0, []measure.Sample{{Table: measure.ReadTable, Column: "1 caller", Value: 1}})
	r.Runs = 0
	text := markdown(t, &r)
	for _, want := range []string{
		"- Command: not recorded\n",
		"- Runs: not recorded\n",
		"## Single reads per second beside computing goroutines\n\nNot measured.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "## Single reads per second\n\nNot measured") {
		t.Error("a table with figures is said to be not measured")
	}
}

func TestCommandAndRuns(t *testing.T) {
	r := Results{Head: Head{Command: "go run . -repeat 2"}}
	for repeat := range 2 {
		r.Add("Genie", repeat, []measure.Sample{{Table: measure.ReadTable, Column: "1 caller", Value: 1}})
	}
	text := markdown(t, &r)
	if !strings.Contains(text, "- Command: `go run . -repeat 2`\n- Runs: 2\n") {
		t.Errorf("neither command nor runs in\n%s", text)
	}
}

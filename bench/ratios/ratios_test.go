package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
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
		{noTarget, 1e6, ""},
	} {
		if got := c.goal.verdict(c.ratio); got != c.want {
			t.Errorf("%+v of %g is %q, want %q", c.goal, c.ratio, got, c.want)
		}
	}
}

// quickly is a measurement with figures that mean nothing.
func quickly() (*measurement, *bytes.Buffer) {
	var out bytes.Buffer
	return &measurement{rounds: 1, window: 5 * time.Millisecond, out: &out}, &out
}

func TestCallsHaveARowForEveryKindAndNumberOfCallers(t *testing.T) {
	m, out := quickly()
	if err := calls(0)(m); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(out.String(), "\n"), 2+3*4; got != want {
		t.Errorf("%d lines, want %d:\n%s", got, want, out)
	}
}

func TestAStarvedCallEndsAndShows(t *testing.T) {
	m, out := quickly()
	table := m.table()
	starved := func() error { time.Sleep(10 * m.window); return nil }
	if err := m.besideAndIdle(table, 1, "starved", starved); err != nil {
		t.Fatal(err)
	}
	table.Flush()
	if !strings.Contains(out.String(), "over ") {
		t.Errorf("no sign of the limit in %s", out)
	}
}

func TestAFailedCallIsReported(t *testing.T) {
	m, _ := quickly()
	failure := errors.New("disk full")
	if err := m.besideAndIdle(m.table(), 0, "failing", func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
}

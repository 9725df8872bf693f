package report

import (
	"testing"

	"github.com/windevkay/forge/genie/bench/measure"
)

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Summary
	}{
		{[]float64{4}, Summary{4, 4, 4}},
		{[]float64{3, 1}, Summary{2, 1, 3}},
		{[]float64{9, 1, 2}, Summary{2, 1, 9}},
		{[]float64{4, 1, 3, 2}, Summary{2.5, 1, 4}},
	} {
		if got := Summarize(c.values); got != c.want {
			t.Errorf("Summarize(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func sample(value float64) []measure.Sample {
	return []measure.Sample{{Table: "t", Column: "c", Unit: measure.Seconds, Value: value}}
}

// TestRatioIsTakenWithinARepeat lets the machine be ten times slower in the
// second repeat, and the third fail for one side.
func TestRatioIsTakenWithinARepeat(t *testing.T) {
	var r Results
	for repeat, base := range []float64{1, 10} {
		r.Add("base", repeat, sample(base))
		r.Add("other", repeat, sample(3*base))
	}
	r.Add("other", 2, sample(1000))
	got, ok := r.Ratio("other", "base", "t", "c")
	if want := (Summary{3, 3, 3}); !ok || got != want {
		t.Errorf("ratio = %v, %t, want %v", got, ok, want)
	}
	if _, ok := r.Ratio("other", "absent", "t", "c"); ok {
		t.Error("a ratio to a system without figures")
	}
}

func TestRankingPutsTheBestFirstAndTheAbsentLast(t *testing.T) {
	r := Results{Systems: []System{{Name: "absent"}, {Name: "slow"}, {Name: "fast"}}}
	r.Add("slow", 0, sample(2))
	r.Add("fast", 0, sample(1))
	got := r.Ranking("t", "c")
	for i, want := range []string{"fast", "slow", "absent"} {
		if got[i] != want {
			t.Errorf("Ranking = %v, want %s at %d", got, want, i)
		}
	}
}

func TestFigure(t *testing.T) {
	for _, c := range []struct {
		value float64
		unit  measure.Unit
		want  string
	}{
		{1234567, measure.PerSecond, "1.23 M"},
		{999.9, measure.PerSecond, "1.00 k"},
		{0, measure.PerSecond, "0.00"},
		{0.0000123, measure.Seconds, "12.3 µs"},
		{2.5, measure.Seconds, "2.50 s"},
		{3 << 20, measure.Bytes, "3.00 MiB"},
		{0.5, measure.Share, "50.0 %"},
		{0.000012, measure.Share, "0.001 %"},
	} {
		if got := Figure(c.value, c.unit); got != c.want {
			t.Errorf("Figure(%g, %s) = %q, want %q", c.value, c.unit, got, c.want)
		}
	}
	if got := Round(0.01, measure.Seconds); got != "10 ms" {
		t.Errorf("Round(0.01 s) = %q, want 10 ms", got)
	}
}

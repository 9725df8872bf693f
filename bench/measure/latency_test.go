package measure

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsAreContiguousAndNarrow(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 1<<14; d++ {
		b := bucket(d)
		if b != last && b != last+1 {
			t.Fatalf("bucket(%d) = %d after %d", d, b, last)
		}
		if edge := upperEdge(b); edge < d || float64(edge) > float64(d)*(1+1.0/steps) {
			t.Fatalf("upper edge of the bucket of %d is %d", d, edge)
		}
		last = b
	}
}

func TestLongestDurationHasABucket(t *testing.T) {
	var l latencies
	l.record(1<<63 - 1)
	l.record(-1) // a clock that went back
	if l.total != 2 {
		t.Errorf("recorded %d durations, want 2", l.total)
	}
}

// TestQuantile compares with the exact quantile of a sorted sample.
func TestQuantile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var whole, half latencies
	var all []time.Duration
	for i := range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			whole.record(d)
		} else {
			half.record(d)
		}
	}
	whole.merge(&half)
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.999} {
		exact, got := all[int(q*float64(len(all)))], whole.quantile(q)
		if got < exact || float64(got) > float64(exact)*(1+1.0/steps) {
			t.Errorf("quantile(%g) = %v, exactly %v", q, got, exact)
		}
	}
	if longest := all[len(all)-1]; whole.max != longest || whole.quantile(1) != longest {
		t.Errorf("max %v, quantile(1) %v, want %v", whole.max, whole.quantile(1), longest)
	}
}

func TestQuantileOfNothing(t *testing.T) {
	if got := new(latencies).quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing = %v, want 0", got)
	}
}

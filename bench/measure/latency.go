package measure

import (
	"math/bits"
	"time"
)

// latencies counts durations in buckets a sixteenth of a power of two wide.
// Recording costs the same at any rate and never allocates.
type latencies struct {
	counts [64 * steps]uint64
	total  uint64
	max    time.Duration
}

const (
	stepBits = 4
	steps    = 1 << stepBits
)

func (l *latencies) record(d time.Duration) {
	l.counts[bucket(d)]++
	l.total++
	l.max = max(l.max, d)
}

func (l *latencies) merge(other *latencies) {
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.total += other.total
	l.max = max(l.max, other.max)
}

// quantile returns the upper edge of the bucket that completes the share q of all
// durations: at most 1/16 too high and never above the maximum.
func (l *latencies) quantile(q float64) time.Duration {
	rank := uint64(q * float64(l.total))
	var seen uint64
	for i, n := range l.counts {
		seen += n
		if seen > rank {
			return min(upperEdge(i), l.max)
		}
	}
	return l.max
}

func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < steps {
		return int(n)
	}
	exponent := bits.Len64(n) - stepBits - 1
	return exponent*steps + int(n>>exponent)
}

func upperEdge(bucket int) time.Duration {
	if bucket < 2*steps {
		return time.Duration(bucket)
	}
	exponent := bucket/steps - 1
	mantissa := bucket%steps + steps
	return time.Duration((mantissa+1)<<exponent - 1)
}

package blob

import (
	"runtime"
	"time"
)

// A turn is a stretch of time for which a reader keeps its processor, as in the backups of package
// genie, whose figures these are. A loop that sums up and never waits would keep a processor for
// 10 ms at a time, and callers of the store would wait for it. The next turn is a quarter of the time
// that the reader was away, so that neighbours that compute leave it a fair share.
//
// Only what reads needs it: what stores runs inside genie.Store.WriteTo, which gives way by itself.
type turn struct {
	began  time.Time
	length time.Duration
}

const (
	turnShare = 4
	minTurn   = 10 * time.Microsecond
	maxTurn   = 10 * time.Millisecond
)

// end gives way to other goroutines if the turn is over.
func (t *turn) end() {
	end := time.Now()
	if end.Sub(t.began) < t.length {
		return
	}
	runtime.Gosched()
	t.began = time.Now()
	t.length = min(max(t.began.Sub(end)/turnShare, minTurn), maxTurn)
}

package measure

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// probes are callers that time each of their calls while an event lasts. They
// think for a while before the next call, or not at all. Those that do not think
// still give way every few calls: else the longest call would be one that the
// scheduler put aside for its 10 ms, whatever the store does.
type probes struct {
	think   time.Duration
	stop    atomic.Bool
	noticed atomic.Bool // whether the event is on
	wg      sync.WaitGroup

	mu   sync.Mutex
	seen latencies // guarded by mu; each caller adds its own when it ends
}

func (p *probes) start(n int, op operation) {
	for caller := range n {
		p.wg.Go(func() { p.loop(caller*callerSpread, op) })
	}
}

// loop counts the calls that overlap the event, however long they outlast it.
func (p *probes) loop(turn int, op operation) {
	var own latencies
	for ; !p.stop.Load(); turn++ {
		overlaps := p.noticed.Load()
		begin := time.Now()
		op(turn)
		took := time.Since(begin)
		if overlaps || p.noticed.Load() {
			own.record(took)
		}
		p.pause(turn)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.merge(&own)
}

func (p *probes) pause(turn int) {
	const giveWay = 16
	switch {
	case p.think > 0:
		time.Sleep(p.think)
	case turn%giveWay == 0:
		runtime.Gosched()
	}
}

func (p *probes) finish() *latencies {
	p.stop.Store(true)
	p.wg.Wait()
	return &p.seen
}

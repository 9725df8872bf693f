package measure

import (
	"runtime"
	"time"

	"github.com/windevkay/forge/genie/bench/peer"
)

// A crew is as many readers as writers on one store, with every call timed.
type crew struct {
	read, write operation
	size        int // of each kind
	think       time.Duration
}

func (b bench) crew(store *peer.Store, size int, think time.Duration) crew {
	keys := keys(b.Entries)
	read, _ := readOp(store, keys)
	write, _ := writeOp(store, keys)
	return crew{read, write, size, think}
}

// A shift is what a crew saw while an event lasted.
type shift struct {
	reads, writes *latencies
	took          time.Duration
	err           error
}

func (c crew) during(event func() error) shift {
	runtime.GC() // so that no shift pays for the garbage of the one before
	readers, writers := &probes{think: c.think}, &probes{think: c.think}
	readers.start(c.size, c.read)
	writers.start(c.size, c.write)
	time.Sleep(leadIn)
	readers.noticed.Store(true)
	writers.noticed.Store(true)
	took, err := timed(event)
	readers.noticed.Store(false)
	writers.noticed.Store(false)
	return shift{readers.finish(), writers.finish(), took, err}
}

// leadIn lets every caller get going before the event.
const leadIn = 50 * time.Millisecond

// perSecond is the rate of all calls. Readers and writers are not told apart:
// what the ones lose, the others may win, with a backup or without.
func (s shift) perSecond() float64 {
	return float64(s.reads.total+s.writes.total) / s.took.Seconds()
}

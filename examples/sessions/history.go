package main

import (
	"context"
	"sync"
	"time"

	"github.com/windevkay/forge/genie"
)

const (
	sampleInterval = time.Second

	// span is the time from the oldest sample to the newest.
	span       = 5 * time.Minute
	maxSamples = int(span/sampleInterval) + 1

	// maxSaves is as many bars as can be told apart on a small chart.
	maxSaves = 60
)

// A history keeps what Stats has told lately, since Stats tells only of one instant.
// Its memory is bounded.
type history struct {
	mu      sync.Mutex
	entries ring[int]        // one for each sample
	saves   ring[genie.Save] // that were the newest in a sample
	newest  time.Time        // when the last of saves was durable
}

func newHistory() *history {
	return &history{entries: ring[int]{limit: maxSamples}, saves: ring[genie.Save]{limit: maxSaves}}
}

// follow adds a sample at once and one each sampleInterval until ctx is done.
//
// Stats has the newest save only. Of several saves between two samples, the history
// has the last. Logins are saved many times a second, so a history of every save
// would be over in a moment, and would take a look after every Sync.
func (h *history) follow(ctx context.Context, stats func() genie.Stats) {
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		h.add(stats())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (h *history) add(s genie.Stats) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries.add(s.Entries)
	if s.LastSave.At.After(h.newest) {
		h.newest = s.LastSave.At
		h.saves.add(s.LastSave)
	}
}

// all returns copies of the numbers of entries and of the saves, the oldest first.
func (h *history) all() (entries []int, saves []genie.Save) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.entries.all(), h.saves.all()
}

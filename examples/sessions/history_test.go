package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// followStats has a history follow stats until the returned function is called. A
// bubble fails if the goroutine outlives that.
func followStats(t *testing.T, stats func() genie.Stats) (h *history, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h, ended := newHistory(), make(chan struct{})
	go func() {
		defer close(ended)
		h.follow(ctx, stats)
	}()
	return h, func() { cancel(); <-ended }
}

func TestHistorySamplesEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t)
		h, stop := followStats(t, s.store.Stats)
		defer stop()
		synctest.Wait()
		entries, saves := h.all()
		require.Equal(t, []int{0}, entries, "the first sample is taken at once")
		require.Empty(t, saves)

		time.Sleep(time.Second / 2)
		_, _, err := s.begin("ada", "")
		require.NoError(t, err)
		time.Sleep(3 * time.Second)
		entries, saves = h.all()
		require.Equal(t, []int{0, 1, 1, 1}, entries)
		require.Equal(t, []genie.Save{s.store.Stats().LastSave}, saves, "each save once")
	})
}

// Of several saves between two samples, the history has the last.
func TestHistoryHasTheLastSaveOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t)
		h, stop := followStats(t, s.store.Stats)
		defer stop()
		time.Sleep(time.Second / 2)
		for range 3 {
			_, _, err := s.begin("ada", "")
			require.NoError(t, err)
			time.Sleep(time.Millisecond) // a save is told from the next by its time
		}
		time.Sleep(time.Second)
		_, saves := h.all()
		require.Equal(t, []genie.Save{s.store.Stats().LastSave}, saves)
	})
}

func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		h, stop := followStats(t, func() genie.Stats {
			calls++
			return genie.Stats{Entries: calls, LastSave: genie.Save{At: time.Now()}}
		})
		defer stop()
		time.Sleep(2*span + sampleInterval/2)
		entries, saves := h.all()
		require.Len(t, entries, maxSamples)
		require.Len(t, saves, maxSaves)
		require.Equal(t, int(2*span/sampleInterval)+1, entries[maxSamples-1])
		require.WithinDuration(t, time.Now(), saves[maxSaves-1].At, sampleInterval)
	})
}

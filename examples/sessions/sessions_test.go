package main

import (
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// inAnHour is when a session that is used now ends.
func inAnHour() time.Time { return time.Now().Add(time.Hour).Round(0).UTC() }

func TestSessionEndsALifetimeAfterItsLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t)
		token, begun, err := s.begin("ada", "")
		require.NoError(t, err)
		require.Equal(t, session{"ada", inAnHour()}, begun)

		time.Sleep(20 * time.Minute)
		found, ok := s.use(token)
		require.True(t, ok)
		require.Equal(t, begun, found, "too early to write")

		time.Sleep(20 * time.Minute)
		found, ok = s.use(token)
		require.True(t, ok)
		require.Equal(t, session{"ada", inAnHour()}, found)

		time.Sleep(time.Hour - time.Nanosecond)
		_, ok = s.use(token)
		require.True(t, ok)
		time.Sleep(time.Hour)
		_, ok = s.use(token)
		require.False(t, ok)
	})
}

// The store removes what has ended: no call of the service is needed.
func TestEndedSessionsAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t)
		for range 3 {
			_, _, _ = s.begin("early", "")
		}
		time.Sleep(45 * time.Minute)
		token, _, _ := s.begin("late", "")
		require.Equal(t, 4, s.count())
		time.Sleep(15 * time.Minute)
		require.Equal(t, 1, s.count())
		synctest.Wait()
		require.Equal(t, 1, s.store.Stats().Expiring, "the memory is free too")
		_, ok := s.use(token)
		require.True(t, ok)
	})
}

func TestSessionsEndWhileNoServiceRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sessions.json")
		open := func() sessions {
			store, err := genie.NewStore(genie.WithPath(path), genie.WithJournal())
			require.NoError(t, err)
			return sessions{store, time.Hour}
		}
		s := open()
		early, _, _ := s.begin("early", "")
		time.Sleep(30 * time.Minute)
		late, _, _ := s.begin("late", "")
		require.NoError(t, s.store.Close())

		time.Sleep(30 * time.Minute)
		s = open()
		_, ok := s.use(early)
		require.False(t, ok)
		found, ok := s.use(late)
		require.True(t, ok)
		require.Equal(t, session{"late", inAnHour()}, found, "half the lifetime was over")
		require.NoError(t, s.store.Close())
	})
}

func TestEntryWithoutADeadlineIsNoSession(t *testing.T) {
	s := newSessions(t)
	s.store.Set(keyOf("token"), "edited by hand")
	_, ok := s.use("token")
	require.False(t, ok)
}

func TestLogoutIsNotUndoneByARenewal(t *testing.T) {
	s := newSessions(t)
	token, _, _ := s.begin("ada", "")
	// A request has read the session, and wants to renew it.
	require.NoError(t, s.end(token))
	_, ok := s.renew(keyOf(token))
	require.False(t, ok)
	require.Zero(t, s.count())
}

func TestLoginReplacesTheOldSession(t *testing.T) {
	s := newSessions(t)
	old, _, _ := s.begin("ada", "")
	var logins sync.WaitGroup
	done := make(chan struct{})
	logins.Go(func() {
		defer close(done)
		for range 1000 {
			old, _, _ = s.begin("ada", old)
		}
	})
	for {
		require.Equal(t, 1, s.count(), "neither none nor both")
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestTokensAreNotInTheStore(t *testing.T) {
	s := newSessions(t)
	token, _, _ := s.begin("ada", "")
	require.GreaterOrEqual(t, len(token), 26, "130 bits in base 32")
	require.NoError(t, s.store.View(func(v *genie.View) error {
		for key, value := range v.All() {
			require.NotContains(t, key+value, token)
		}
		return nil
	}))
}

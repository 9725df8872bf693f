package main

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

func TestSessionEndsALifetimeAfterItsLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t)
		token, begun, err := s.begin("ada", "")
		require.NoError(t, err)
		require.Equal(t, time.Now().Add(time.Hour).UTC(), begun.Expires)

		time.Sleep(20 * time.Minute)
		found, ok := s.use(token)
		require.True(t, ok)
		require.Equal(t, begun, found, "too early to write")

		time.Sleep(20 * time.Minute)
		found, ok = s.use(token)
		require.True(t, ok)
		require.Equal(t, session{"ada", time.Now().Add(time.Hour).UTC()}, found)

		time.Sleep(time.Hour - time.Nanosecond)
		_, ok = s.use(token)
		require.True(t, ok)
		time.Sleep(time.Hour)
		_, ok = s.use(token)
		require.False(t, ok)
	})
}

func TestSweepRemovesWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t)
		for range 3 {
			_, _, _ = s.begin("early", "")
		}
		s.store.Set("not a session", "edited by hand")
		time.Sleep(45 * time.Minute)
		token, _, _ := s.begin("late", "")
		require.Equal(t, 1, s.sweep(), "the value that is not a session")
		time.Sleep(15 * time.Minute)
		require.Equal(t, 4, s.count())
		require.Equal(t, 3, s.sweep())
		require.Zero(t, s.sweep())
		require.Equal(t, 1, s.count())
		_, ok := s.use(token)
		require.True(t, ok)
	})
}

func TestSweepSparesWhatWasRenewedMeanwhile(t *testing.T) {
	s := newSessions(t)
	key := keyOf("token")
	s.store.Set(key, session{"ada", time.Now().Add(-time.Second)}.encode())
	// A sweep that took its view now would find the session expired.
	_, ok := s.renew(key, "ada")
	require.True(t, ok)
	require.False(t, s.removeExpired(key))
	require.Equal(t, 1, s.count())
	require.False(t, s.removeExpired("of no session"))
}

func TestSweptEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t)
		var sweeping sync.WaitGroup
		sweeping.Go(func() { sweepEvery(t.Context(), time.Minute, s, quiet) })
		t.Cleanup(sweeping.Wait) // the test's context ends before
		_, _, _ = s.begin("ada", "")
		time.Sleep(59 * time.Minute)
		require.Equal(t, 1, s.count())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Zero(t, s.count())
	})
}

func TestLogoutIsNotUndoneByARenewal(t *testing.T) {
	s := newSessions(t)
	token, _, _ := s.begin("ada", "")
	// A request has read the session, and wants to renew it.
	require.NoError(t, s.end(token))
	_, ok := s.renew(keyOf(token), "ada")
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

func TestDecode(t *testing.T) {
	want := session{"ada\n\"", time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)}
	require.Equal(t, want, decode(want.encode()))
	for _, value := range []string{"", "ada", "{", `{"user":1}`, `{"user":"ada"}`, "[]"} {
		require.True(t, decode(value).expired(), value)
	}
}

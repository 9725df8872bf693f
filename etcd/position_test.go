package etcd

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waiting starts a wait, and returns the channel of its end.
func waiting(ctx context.Context, p *position, until place, quiet bool) <-chan error {
	done := make(chan error, 1)
	go func() { done <- p.reach(ctx, p.receipt(until), quiet, time.Hour) }()
	synctest.Wait()
	return done
}

// receipt returns a place with the present link.
func (p *position) receipt(at place) receipt {
	link, _ := p.linked()
	return receipt{at, link}
}

// turn moves the position as one that has read everything does.
func turn(p *position, to place) {
	p.depart()
	p.jump(to)
}

func isOver(done <-chan error) bool {
	synctest.Wait()
	return len(done) == 1
}

func TestAWaitEndsAtItsRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPosition()
		turn(p, place{1, 10})
		require.NoError(t, p.reach(t.Context(), p.receipt(place{1, 10}), false, time.Hour), "it is there")
		eleven := waiting(t.Context(), p, place{1, 11}, false)
		thirteen := waiting(t.Context(), p, place{1, 13}, false)
		assert.False(t, isOver(eleven))
		p.advance(place{1, 12})
		require.NoError(t, <-eleven)
		assert.False(t, isOver(thirteen))
		p.advance(place{1, 13})
		require.NoError(t, <-thirteen)
		assert.Empty(t, p.waiting)
	})
}

// The revision of another cluster is never reached, however large the replica's own.
func TestAWaitIsForOneCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPosition()
		turn(p, place{1, 10})
		other := waiting(t.Context(), p, place{2, 5}, false)
		old := waiting(t.Context(), p, place{1, 11}, false)
		p.advance(place{1, 10})
		assert.False(t, isOver(other))
		turn(p, place{2, 4})
		require.ErrorIs(t, <-old, errReplaced)
		p.advance(place{2, 5})
		require.NoError(t, <-other)
	})
}

func TestAWaitEndsWithItsContextAndItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPosition()
		ctx, cancel := context.WithCancelCause(t.Context())
		done := waiting(ctx, p, place{1, 1}, false)
		cancel(ErrClosed)
		require.Equal(t, ErrClosed, <-done)
		err := p.reach(t.Context(), p.receipt(place{1, 1}), false, time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Empty(t, p.waiting, "nothing is left of a wait")
	})
}

// A caller whose wait and whose context end together gets the result of the wait.
func TestAWaitThatHasEndedIsNotForgotten(t *testing.T) {
	p := newPosition()
	turn(p, place{1, 10})
	w := p.enlist(p.receipt(place{1, 11}), false)
	p.advance(place{1, 11})
	require.NoError(t, p.forget(w, context.Canceled))
	w = p.enlist(p.receipt(place{1, 12}), false)
	require.Equal(t, context.Canceled, p.forget(w, context.Canceled))
}

func TestACloseEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPosition()
		turn(p, place{1, 10})
		done := waiting(t.Context(), p, place{1, 11}, true)
		p.close()
		require.ErrorIs(t, <-done, ErrClosed)
		require.ErrorIs(t, p.reach(t.Context(), p.receipt(place{1, 11}), false, time.Hour), ErrClosed)
		require.NoError(t, p.reach(t.Context(), p.receipt(place{1, 10}), false, time.Hour), "what is here is here")
		assert.False(t, p.follow(t.Context()), "it does not follow again")
	})
}

// Only a wait for a revision that may have no event asks for progress.
func TestWhoWantsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPosition()
		turn(p, place{1, 10})
		ctx, cancel := context.WithCancel(t.Context())
		loud := waiting(ctx, p, place{1, 11}, false)
		assert.False(t, p.isWanted())
		assert.Empty(t, p.wanted)
		quiet := waiting(ctx, p, place{1, 11}, true)
		assert.True(t, p.isWanted())
		assert.Len(t, p.wanted, 1)
		p.advance(place{1, 11})
		assert.False(t, p.isWanted())
		cancel()
		<-loud
		<-quiet
	})
}

func TestFollowing(t *testing.T) {
	p := newPosition()
	p.unfollow()
	select {
	case <-p.followed():
		assert.Fail(t, "it does not follow yet")
	default:
	}
	assert.True(t, p.follow(t.Context()))
	assert.False(t, p.follow(t.Context()), "no news")
	first := p.followed()
	<-first
	p.unfollow()
	assert.NotEqual(t, first, p.followed(), "each time has a channel of its own")

	ended, end := context.WithCancel(t.Context())
	end()
	assert.False(t, p.follow(ended), "its session has ended")
	assert.False(t, p.stats().Following)
}

func TestTokens(t *testing.T) {
	p := newPosition()
	p.expect("mine")
	p.sight([]sighting{{"other's", 7}})
	assert.Zero(t, p.sighted("mine"))
	p.sight([]sighting{{"mine", 8}})
	assert.EqualValues(t, 8, p.sighted("mine"))
	p.unexpect("mine")
	assert.Empty(t, p.tokens)
}

func TestStatsOfAPosition(t *testing.T) {
	p := newPosition()
	now := time.Now()
	turn(p, place{1, 10})
	p.heard(12, now)
	p.fellBehind()
	p.follow(t.Context())
	assert.Equal(t, Stats{Following: true, Cluster: 1, Revision: 10, Head: 12, Contact: now, Reads: 1, Restarts: 1}, p.stats())
	assert.Equal(t, now.UnixMilli(), p.contactMilli())
	turn(p, place{2, 3})
	assert.EqualValues(t, 3, p.stats().Head, "of the new cluster")
}

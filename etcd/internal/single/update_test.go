package single

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/windevkay/forge/genie/etcd"
)

// increment is the function of an Update that adds one to a counter.
func increment(key string) func(tx *etcd.Tx) error {
	return func(tx *etcd.Tx) error {
		value, ok := tx.Get(key)
		if !ok {
			value = "0"
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		tx.Set(key, strconv.Itoa(n+1))
		return nil
	}
}

func TestUpdatesOfOneCounter(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	stores := []*etcd.Store{c.open(), c.open()}
	const callers, each = 64, 5
	require.NoError(t, inParallel(callers, func(i int) error {
		for range each {
			if err := stores[i%2].Update(ctx, increment("n")); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, s := range stores {
		require.NoError(t, s.Sync(ctx))
		value, _ := s.Get("n")
		assert.Equal(t, strconv.Itoa(callers*each), value)
	}
}

func TestUpdate(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	require.NoError(t, s.Set(ctx, "old", "1"))
	t.Run("sees its own writes", func(t *testing.T) {
		require.NoError(t, s.Update(ctx, func(tx *etcd.Tx) error {
			tx.Set("new", "2")
			value, ok := tx.Get("new")
			assert.True(t, ok)
			assert.Equal(t, "2", value)
			tx.Delete("old")
			_, ok = tx.Get("old")
			assert.False(t, ok)
			return nil
		}))
		assert.Equal(t, map[string]string{"new": "2"}, s.Snapshot())
	})
	t.Run("returns the error of its function and writes nothing", func(t *testing.T) {
		failure := errors.New("failure")
		err := s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("new", "3"); return failure })
		assert.Equal(t, failure, err)
		assert.Equal(t, map[string]string{"new": "2"}, c.contents())
	})
	t.Run("sends nothing where nothing is written", func(t *testing.T) {
		before, err := c.direct.Get(ctx, "x")
		require.NoError(t, err)
		require.NoError(t, s.Update(ctx, func(tx *etcd.Tx) error { tx.Get("new"); return nil }))
		after, err := c.direct.Get(ctx, "x")
		require.NoError(t, err)
		assert.Equal(t, before.Header.Revision, after.Header.Revision)
	})
	t.Run("a Tx ends with its function", func(t *testing.T) {
		var kept *etcd.Tx
		require.NoError(t, s.Update(ctx, func(tx *etcd.Tx) error { kept = tx; return nil }))
		assert.Panics(t, func() { kept.Get("new") })
		assert.Panics(t, func() { kept.Set("new", "x") })
		assert.Panics(t, func() { kept.Delete("new") })
	})
}

// Each kind of change of a key that was read makes a conflict, and the function runs again.
func TestConflicts(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	remove := func(key string) { _, err := c.direct.Delete(ctx, prefix+key); require.NoError(t, err) }
	for name, test := range map[string]struct {
		before, between func()
		tries           int
	}{
		"unchanged":              {func() { c.put("key", "1") }, func() { c.put("other", "x") }, 1},
		"still missing":          {func() { remove("key") }, func() { c.put("other", "x") }, 1},
		"changed":                {func() { c.put("key", "1") }, func() { c.put("key", "2") }, 2},
		"written the same again": {func() { c.put("key", "1") }, func() { c.put("key", "1") }, 2},
		"deleted":                {func() { c.put("key", "1") }, func() { remove("key") }, 2},
		"deleted and made again": {func() { c.put("key", "1") }, func() { remove("key"); c.put("key", "1") }, 2},
		"made":                   {func() { remove("key") }, func() { c.put("key", "1") }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			test.before()
			require.NoError(t, s.Sync(ctx))
			tries := 0
			require.NoError(t, s.Update(ctx, func(tx *etcd.Tx) error {
				tx.Get("key")
				if tries++; tries == 1 {
					test.between()
				}
				tx.Set("result", name)
				return nil
			}))
			assert.Equal(t, test.tries, tries)
			c.follows(s)
		})
	}
}

func TestAnUpdateGivesUp(t *testing.T) {
	t.Parallel() // it mostly pauses
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	tries := 0
	err := s.Update(ctx, func(tx *etcd.Tx) error {
		tx.Get("key")
		tries++
		c.put("key", strconv.Itoa(tries)) // another caller is always faster
		tx.Set("result", "x")
		return nil
	})
	require.ErrorIs(t, err, etcd.ErrConflict)
	assert.Equal(t, 32, tries)
	_, found := c.contents()["result"]
	assert.False(t, found)
}

// lost has the proxy lose the connection of a call at a moment: while the answer is under way,
// or while the request is.
type lost struct {
	c    *cluster
	s    *etcd.Store
	call func() error
}

// answer lets the request come to the server, and loses the answer.
func (l lost) answer(applied func() bool) error {
	eventually(l.c.t, func() bool { return l.s.Stats().Following }, "the replica follows")
	l.c.proxy.hold(replies)
	result := make(chan error, 1)
	go func() { result <- l.call() }()
	eventually(l.c.t, applied, "the server has applied the request")
	l.c.proxy.breakAll()
	l.c.proxy.release()
	return <-result
}

// request loses the request, which has a text: the client's connection breaks before the server
// has it.
func (l lost) request(text string, breakOff func()) error {
	eventually(l.c.t, func() bool { return l.s.Stats().Following }, "the replica follows")
	l.c.proxy.hold(requests)
	result := make(chan error, 1)
	go func() { result <- l.call() }()
	eventually(l.c.t, func() bool { return l.c.proxy.holds(text) }, "the request is under way")
	breakOff()
	l.c.proxy.release()
	return <-result
}

// quietly opens a Store of which no request but that of the test names one of the keys: the checks
// of the session ask for the key of the last event.
func quietly(c *cluster, keys ...string) *etcd.Store {
	for _, key := range append(keys, "last") {
		c.put(key, "0")
	}
	_, err := c.direct.Delete(c.t.Context(), prefix+"last")
	require.NoError(c.t, err)
	s := c.open(etcd.WithTimeout(3 * time.Second))
	require.NoError(c.t, s.Sync(c.t.Context()))
	return s
}

func TestALostAnswerOfAnUpdate(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := quietly(c, "n")
	tries := 0
	l := lost{c, s, func() error {
		return s.Update(ctx, func(tx *etcd.Tx) error { tries++; return increment("n")(tx) })
	}}
	require.NoError(t, l.answer(func() bool { return c.contents()["n"] == "1" }))
	assert.Equal(t, 1, tries, "the last call of the function is the one that was applied")
	value, _ := s.Get("n")
	assert.Equal(t, "1", value, "it was applied once, and is visible")
	c.follows(s)

	// Negative control: a caller that sends its comparison again is told of a conflict, with
	// its own write.
	bare := c.client()
	before, err := bare.Get(ctx, prefix+"n")
	require.NoError(t, err)
	send := func() (bool, error) {
		answer, err := bare.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(prefix+"n"), "=", before.Kvs[0].ModRevision)).
			Then(clientv3.OpPut(prefix+"n", "2")).Commit()
		return err == nil && answer.Succeeded, err
	}
	l.call = func() error { _, err := send(); return err }
	require.Error(t, l.answer(func() bool { return c.contents()["n"] == "2" }))
	won, err := send()
	require.NoError(t, err)
	assert.False(t, won)
}

func TestALostRequestOfAnUpdate(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := quietly(c, "n")
	l := lost{c, s, func() error { return s.Update(ctx, increment("n")) }}
	require.NoError(t, l.request(prefix+"n", c.proxy.breakAll))
	assert.Equal(t, map[string]string{"n": "1"}, c.contents())
}

// The request of the first try comes to the server after its copy was applied.
func TestALateRequestOfAnUpdate(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := quietly(c, "n")
	tries := 0
	l := lost{c, s, func() error {
		return s.Update(ctx, func(tx *etcd.Tx) error { tries++; return increment("n")(tx) })
	}}
	require.NoError(t, l.request(prefix+"n", c.proxy.leaveLate))
	assert.Equal(t, 1, tries, "the same transaction was sent again")
	assert.Equal(t, "1", c.contents()["n"])
	applied := c.server.Server.AppliedIndex()
	c.proxy.deliverLate()
	eventually(t, func() bool { return c.server.Server.AppliedIndex() > applied }, "the server has decided")
	assert.Equal(t, "1", c.contents()["n"])

	// Negative control: a late request without comparisons is applied.
	bare := c.client()
	l.call = func() error { _, err := bare.Put(ctx, prefix+"late", "x"); return err }
	_, err := bare.Get(ctx, "connect")
	require.NoError(t, err)
	require.Error(t, l.request(prefix+"late", c.proxy.leaveLate))
	assert.NotContains(t, c.contents(), "late")
	c.proxy.deliverLate()
	eventually(t, func() bool { return c.contents()["late"] == "x" }, "the late request is applied")
}

// An Update that found none of its keys cannot exclude that its lost request comes late, and says
// so.
func TestALostRequestThatMayComeLate(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := quietly(c)
	for name, fn := range map[string]func(tx *etcd.Tx) error{
		"it makes a key":     increment("number"),
		"it has read no key": func(tx *etcd.Tx) error { tx.Set("number", "x"); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			l := lost{c, s, func() error { return s.Update(ctx, fn) }}
			require.ErrorIs(t, l.request(prefix+"number", c.proxy.breakAll), etcd.ErrUnknown)
			assert.Empty(t, c.contents())
		})
	}
}

func TestALostAnswerOfASet(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := quietly(c)
	l := lost{c, s, func() error { return s.Set(ctx, "key", "x") }}
	err := l.answer(func() bool { return c.contents()["key"] == "x" })
	require.ErrorIs(t, err, etcd.ErrUnknown)
	c.follows(s)
}

// The time that a caller gives is shorter than a look takes.
func TestAnUpdateWithoutTimeToLook(t *testing.T) {
	c := newCluster(t)
	s := quietly(c, "n")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c.proxy.hold(replies)
	defer c.proxy.release()
	err := s.Update(ctx, increment("n"))
	require.ErrorIs(t, err, etcd.ErrUnknown)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, "1", c.contents()["n"])
}

// Reads work, and no transaction gets an answer that tells its outcome, as behind a gateway that
// refuses them with codes of its own.
func TestAnUpdateOfWhichNoTryIsAnswered(t *testing.T) {
	t.Parallel() // it mostly pauses
	var sent atomic.Int64
	c := newCluster(t, served("KV/Txn", func(context.Context, func(context.Context) error) error {
		sent.Add(1)
		return status.Error(codes.Unknown, "unexpected HTTP status code")
	}))
	c.put("n", "0")
	s := c.open()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := s.Update(ctx, increment("n"))
	require.ErrorIs(t, err, etcd.ErrUnknown)
	require.NotErrorIs(t, err, etcd.ErrUnavailable)
	require.NoError(t, ctx.Err(), "it has given up by itself")
	assert.LessOrEqual(t, sent.Load(), int64(11), "the try and ten copies")
}

// The copy of a lost try is refused. That says nothing about the try, which comes later.
func TestARefusedCopyOfALostTry(t *testing.T) {
	for name, refusal := range map[string]error{
		"no leader":     rpctypes.ErrGRPCNoLeader,
		"no permission": rpctypes.ErrGRPCPermissionDenied,
		"too large":     status.Error(codes.ResourceExhausted, "message larger than max"),
	} {
		t.Run(name, func(t *testing.T) {
			var late atomic.Pointer[func(context.Context) error]
			c := newCluster(t, served("KV/Txn", func(_ context.Context, send func(context.Context) error) error {
				if late.CompareAndSwap(nil, &send) {
					return status.Error(codes.Unavailable, "error reading from server: EOF")
				}
				return refusal
			}))
			c.put("n", "0")
			s := c.open()
			err := s.Update(t.Context(), increment("n"))
			require.ErrorIs(t, err, etcd.ErrUnknown)
			for _, known := range []error{etcd.ErrUnavailable, etcd.ErrTooLarge, rpctypes.ErrPermissionDenied} {
				require.NotErrorIs(t, err, known, "it promises that nothing was written")
			}
			require.NoError(t, (*late.Load())(t.Context()))
			assert.Equal(t, map[string]string{"n": "1"}, c.contents())
		})
	}
}

// A caller cancels with the error of another write as the cause, as errgroup does. The write is
// applied all the same.
func TestTheCauseOfAContextSaysNothing(t *testing.T) {
	for name, cause := range map[string]error{
		"unavailable": fmt.Errorf("another write: %w: %w", etcd.ErrUnavailable, rpctypes.ErrNoLeader),
		"too large":   fmt.Errorf("another write: %w", etcd.ErrTooLarge),
		"denied":      rpctypes.ErrPermissionDenied,
	} {
		for call, write := range map[string]func(ctx context.Context, s *etcd.Store) error{
			"Set":    func(ctx context.Context, s *etcd.Store) error { return s.Set(ctx, "n", "1") },
			"Update": func(ctx context.Context, s *etcd.Store) error { return s.Update(ctx, increment("n")) },
		} {
			t.Run(call+", "+name, func(t *testing.T) {
				c := newCluster(t)
				s := quietly(c, "n")
				ctx, cancel := context.WithCancelCause(t.Context())
				l := lost{c, s, func() error { return write(ctx, s) }}
				err := l.cancelled(func() bool { return c.contents()["n"] == "1" }, func() { cancel(cause) })
				require.ErrorIs(t, err, etcd.ErrUnknown)
				require.ErrorIs(t, err, context.Canceled)
				for _, known := range []error{etcd.ErrUnavailable, etcd.ErrTooLarge, rpctypes.ErrPermissionDenied} {
					assert.NotErrorIs(t, err, known)
				}
			})
		}
	}
}

// cancelled lets the request come to the server, and has the caller give up before the answer.
func (l lost) cancelled(applied func() bool, cancel func()) error {
	l.c.proxy.hold(replies)
	defer l.c.proxy.release()
	result := make(chan error, 1)
	go func() { result <- l.call() }()
	eventually(l.c.t, applied, "the server has applied the request")
	cancel()
	return <-result
}

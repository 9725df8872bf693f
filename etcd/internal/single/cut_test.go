package single

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/windevkay/forge/genie/etcd"
)

// fill writes n keys.
func (c *cluster) fill(n int) {
	c.t.Helper()
	for i := range n {
		c.put(fmt.Sprintf("key%03d", i), "old")
	}
}

// churn deletes a third of the keys of fill, overwrites a third, and adds some.
func (c *cluster) churn(n int) {
	c.t.Helper()
	for i := range n {
		key := fmt.Sprintf("key%03d", i)
		switch i % 3 {
		case 0:
			_, err := c.direct.Delete(c.t.Context(), prefix+key)
			require.NoError(c.t, err)
		case 1:
			c.put(key, "new")
		}
	}
	c.put("added", "new")
}

// Meanwhiles are what can happen to a cluster while a replica is cut off from it.
var meanwhiles = map[string]struct {
	happens func(ctx context.Context, c *cluster)
	reads   uint64 // of everything, afterwards
}{
	"nothing":      {func(context.Context, *cluster) {}, 0},
	"writes":       {func(_ context.Context, c *cluster) { c.churn(60) }, 0},
	"a compaction": {func(ctx context.Context, c *cluster) { c.churn(60); c.compact(ctx) }, 1},
	"a compaction, and writes to other prefixes": {func(ctx context.Context, c *cluster) {
		for range 3 {
			_, err := c.direct.Put(ctx, "elsewhere", "x")
			require.NoError(c.t, err)
		}
		c.compact(ctx)
	}, 1},
	"the prefix is deleted": {func(ctx context.Context, c *cluster) {
		_, err := c.direct.Delete(ctx, prefix, clientv3.WithPrefix())
		require.NoError(c.t, err)
	}, 0},
	"the prefix is deleted, and a compaction": {func(ctx context.Context, c *cluster) {
		_, err := c.direct.Delete(ctx, prefix, clientv3.WithPrefix())
		require.NoError(c.t, err)
		c.compact(ctx)
	}, 1},
	"another cluster": {func(_ context.Context, c *cluster) {
		c.stop()
		c.folder, c.token = filepath.Join(c.t.TempDir(), "other"), "other"
		c.start()
		c.put("key001", "other")
	}, 1},
	"an empty cluster of the same name": {func(_ context.Context, c *cluster) {
		c.stop()
		c.folder = filepath.Join(c.t.TempDir(), "other")
		c.start()
	}, 1},
	"a restart": {func(_ context.Context, c *cluster) { c.stop(); c.start(); c.churn(60) }, 0},
}

// A replica that was cut off, while its process ran, comes back to what the cluster has.
func TestCutOff(t *testing.T) {
	for name, meanwhile := range meanwhiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c := t.Context(), newCluster(t)
			c.fill(60)
			s := c.open()
			before, reads := s.Snapshot(), s.Stats().Reads
			c.proxy.refuse()
			eventually(t, func() bool { return !s.Stats().Following }, "the store knows")
			assert.Equal(t, before, s.Snapshot(), "reads go on")
			require.ErrorIs(t, s.Set(ctx, "key", "x"), etcd.ErrUnavailable)
			require.ErrorIs(t, s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("key", "x"); return nil }), etcd.ErrUnavailable)
			require.ErrorIs(t, s.Delete(ctx, "key"), etcd.ErrUnavailable)
			require.ErrorIs(t, s.SetWithTTL(ctx, "key", "x", time.Minute), etcd.ErrUnavailable)
			require.ErrorIs(t, s.Sync(ctx), etcd.ErrUnavailable)
			require.ErrorIs(t, errorsOf(s)[0], etcd.ErrUnavailable)

			meanwhile.happens(ctx, c)
			c.proxy.admit("")
			c.follows(s)
			assert.Equal(t, meanwhile.reads, s.Stats().Reads-reads)
			require.NoError(t, s.Set(ctx, "key", "x"))
			c.follows(s)
		})
	}
}

// A Store whose process was not running does, too. It starts without the cluster, with the file.
func TestStartWithoutTheCluster(t *testing.T) {
	for name, meanwhile := range meanwhiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c := t.Context(), newCluster(t)
			path := filepath.Join(t.TempDir(), "replica.json")
			c.fill(60)
			first := c.open(etcd.WithFile(path))
			before, revision := first.Snapshot(), first.Revision()
			require.NoError(t, first.Close())
			contact := first.Stats().Contact
			c.proxy.refuse()

			s := c.open(etcd.WithFile(path))
			stats := s.Stats()
			assert.Equal(t, before, s.Snapshot())
			assert.Equal(t, revision, s.Revision())
			assert.False(t, stats.Following)
			assert.WithinDuration(t, contact, stats.Contact, time.Millisecond, "of the last run")
			assert.Equal(t, stats.Revision, stats.Head, "no more is known")
			require.ErrorIs(t, s.Set(ctx, "key", "x"), etcd.ErrUnavailable)
			require.ErrorIs(t, s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("key", "x"); return nil }), etcd.ErrUnavailable)

			meanwhile.happens(ctx, c)
			c.proxy.admit("")
			c.follows(s)
			eventually(t, func() bool { return s.Stats().Following }, "it follows")
			assert.Equal(t, meanwhile.reads, s.Stats().Reads)
			require.NoError(t, s.Set(ctx, "key", "x"))
			c.follows(s)
		})
	}
}

// A restored cluster has the ID of the old one. Its revisions can be fewer than the replica's or
// more, and then only the witness tells.
func TestRestoredCluster(t *testing.T) {
	for name, test := range map[string]struct{ after int }{
		"with fewer revisions": {0},
		"with more revisions":  {100},
	} {
		for _, running := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, running %t", name, running), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t)
				c.fill(30)
				c.stop()
				kept := c.keep()
				c.start()
				path := filepath.Join(t.TempDir(), "replica.json")
				s := c.open(etcd.WithFile(path))
				c.churn(30)
				c.follows(s)
				reads := s.Stats().Reads
				if !running {
					reads = 0
					require.NoError(t, s.Close())
				}
				c.stop()
				c.folder = kept
				c.start()
				for i := range test.after {
					c.put(fmt.Sprintf("restored%03d", i), "x")
				}
				if !running {
					s = c.open(etcd.WithFile(path))
				}
				c.follows(s)
				assert.EqualValues(t, reads+1, s.Stats().Reads)
			})
		}
	}
}

func TestOpenWithoutClusterOrFile(t *testing.T) {
	c := newCluster(t)
	c.proxy.refuse()
	t.Run("gives up after the timeout", func(t *testing.T) {
		_, err := c.tryOpen(t.Context(), etcd.WithTimeout(50*time.Millisecond))
		require.ErrorIs(t, err, etcd.ErrUnavailable)
	})
	t.Run("tries until the deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := c.tryOpen(ctx, etcd.WithTimeout(10*time.Millisecond))
		require.ErrorIs(t, err, etcd.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("an empty file is none", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "replica.json")
		_, err := c.tryOpen(t.Context(), etcd.WithTimeout(50*time.Millisecond), etcd.WithFile(path))
		require.ErrorIs(t, err, etcd.ErrUnavailable)
		_, err = os.Stat(path)
		require.NoError(t, err)
	})
	t.Run("comes through when the cluster comes back", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		opened := make(chan error, 1)
		go func() {
			_, err := c.tryOpen(ctx, etcd.WithTimeout(50*time.Millisecond))
			opened <- err
		}()
		c.proxy.admit("")
		require.NoError(t, <-opened)
	})
}

// How long Open waits for the cluster, with a file.
func TestOpenWaits(t *testing.T) {
	c := newCluster(t)
	path := filepath.Join(t.TempDir(), "replica.json")
	c.fill(3)
	require.NoError(t, c.open(etcd.WithFile(path)).Close())
	c.proxy.hold(requests)
	t.Run("until the deadline of its context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		s, err := c.tryOpen(ctx, etcd.WithFile(path), etcd.WithTimeout(time.Minute))
		require.NoError(t, err)
		assert.Equal(t, 3, s.Len())
		require.NoError(t, s.Close())
	})
	t.Run("not if it was cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.tryOpen(ctx, etcd.WithFile(path))
		require.ErrorIs(t, err, context.Canceled)
	})
}

// An endpoint that takes connections and keeps silent.
func TestHungEndpoint(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	c.fill(3)
	s := c.open(etcd.WithTimeout(200 * time.Millisecond))
	c.proxy.hold(requests)
	c.proxy.hold(replies)
	began := time.Now()
	require.ErrorIs(t, s.Set(ctx, "key", "x"), etcd.ErrUnknown)
	require.ErrorIs(t, s.Sync(ctx), etcd.ErrUnavailable)
	assert.Less(t, time.Since(began), 5*time.Second)
	eventually(t, func() bool { return !s.Stats().Following }, "the check finds it")
	c.proxy.breakAll()
	c.proxy.release()
	c.follows(s)
}

// The parts of a Sync, each of which takes nearly as long as allowed, are over in that time together.
func TestTheTimeOfASync(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	const timeout = 2 * time.Second
	var gate gate
	var slow atomic.Bool
	reads := calls("KV/Range", func(ctx context.Context, send func(context.Context) error) error {
		err := send(ctx)
		if slow.Load() {
			time.Sleep(timeout * 9 / 10) // an answer that is under way for so long
		}
		return err
	})
	s, err := etcd.Open(ctx, dial(t, c.proxy.address(), gate.option(), reads), prefix, etcd.WithTimeout(timeout))
	require.NoError(t, err)
	defer s.Close()
	gate.hold()
	defer gate.release()
	slow.Store(true)
	_, err = c.direct.Put(ctx, "elsewhere", "x")
	require.NoError(t, err)
	began := time.Now()
	require.ErrorIs(t, s.Sync(ctx), etcd.ErrUnavailable)
	assert.Less(t, time.Since(began), timeout*14/10)
}

// A write is acknowledged, and the watch keeps silent: the caller is told that it did happen. The
// check of the session then begins a new watch.
func TestASilentWatch(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	gate := new(gate)
	s, err := etcd.Open(ctx, dial(t, c.proxy.address(), gate.option()), prefix, etcd.WithTimeout(200*time.Millisecond))
	require.NoError(t, err)
	defer s.Close()
	gate.hold()
	err = s.Set(ctx, "key", "x")
	require.ErrorIs(t, err, etcd.ErrNotVisible)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, etcd.ErrUnknown)
	var late *etcd.NotVisibleError
	require.ErrorAs(t, err, &late)
	assert.Greater(t, late.Revision, s.Revision())
	require.ErrorIs(t, s.Sync(ctx), etcd.ErrUnavailable)
	eventually(t, func() bool { return s.Revision() >= late.Revision }, "a new watch has the write")
	c.follows(s)
	gate.release()
}

// The replica has to notice that one watch of many is silent even if nothing is written.
func TestASilentWatchOfAQuietPrefix(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	gate := new(gate)
	s, err := etcd.Open(ctx, dial(t, c.proxy.address(), gate.option()), prefix, etcd.WithTimeout(200*time.Millisecond))
	require.NoError(t, err)
	defer s.Close()
	gate.hold()
	_, err = c.direct.Put(ctx, "elsewhere", "x")
	require.NoError(t, err)
	eventually(t, func() bool { return s.Stats().LastError != nil }, "the check finds it")
	c.follows(s)
	gate.release()
}

// A small backlog has the watch begin anew again and again, and nothing is missed.
func TestBacklog(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open(etcd.WithBacklog(1))
	require.NoError(t, inParallel(16, func(i int) error {
		for n := range 100 {
			if _, err := c.direct.Put(ctx, fmt.Sprintf("%s%d/%d", prefix, i, n), "x"); err != nil {
				return err
			}
		}
		return nil
	}))
	c.follows(s)
	assert.NotZero(t, s.Stats().Restarts)
	assert.EqualValues(t, 1, s.Stats().Reads)
}

func TestACompactionDuringTheFirstRead(t *testing.T) {
	c := newCluster(t)
	c.fill(300) // more than the first page
	stop := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c.put("busy", time.Now().String())
				c.compact(t.Context())
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := c.tryOpen(ctx)
	close(stop)
	busy.Wait()
	if err != nil {
		require.ErrorIs(t, err, rpctypes.ErrCompacted)
	}
	c.follows(c.open())
}

// A cluster that refuses the replica for good makes Open fail, with a file, too: the replica would
// never catch up.
func TestOpenWithAFileIsRefused(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	file := etcd.WithFile(filepath.Join(t.TempDir(), "replica.json"))
	s, err := etcd.Open(ctx, c.client(), "other/", file)
	require.NoError(t, err)
	require.NoError(t, s.Set(ctx, "key", "x"))
	require.NoError(t, s.Close())
	_, err = etcd.Open(ctx, c.user(clientv3.PermissionType(clientv3.PermRead)), "other/", file)
	require.ErrorIs(t, err, rpctypes.ErrPermissionDenied)
}

// A link so slow that a large page does not come within the timeout: smaller pages do.
func TestAReadOverASlowLink(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCluster(t)
	c.fill(300)
	slow := grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
		conn *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoker(ctx, method, request, reply, conn, opts...)
		if r, ok := request.(*etcdserverpb.RangeRequest); ok {
			select {
			case <-time.After(time.Duration(r.Limit) * 4 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return err
	})
	s, err := etcd.Open(t.Context(), dial(t, c.proxy.address(), slow), prefix, etcd.WithTimeout(600*time.Millisecond))
	require.NoError(t, err)
	defer s.Close()
	assert.Equal(t, c.contents(), s.Snapshot())
	assert.EqualValues(t, 1, s.Stats().Reads, "no page was read in vain")
}

// A link so slow that what the replica has missed does not come within the timeout, in one response.
func TestAWatchOverASlowLink(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCluster(t)
	const timeout = 250 * time.Millisecond
	slow := slowEvents{after: 3 * timeout}
	s, err := etcd.Open(t.Context(), dial(t, c.proxy.address(), slow.option()), prefix, etcd.WithTimeout(timeout))
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Set(t.Context(), "key", "value"))
	c.proxy.refuse()
	eventually(t, func() bool { return !s.Stats().Following }, "the store knows")
	c.fill(10)
	slow.on.Store(true)
	c.proxy.admit("")
	eventually(t, func() bool { _, ok := s.Get("key009"); return ok }, "the replica has what it has missed")
	assert.EqualValues(t, 1, s.Stats().Reads, "from the watch")
	slow.on.Store(false)
	c.follows(s)
}

// hanging has requests for reads hang, by their number from 1 on.
func hanging(hangs func(n int64) bool) grpc.DialOption {
	var n atomic.Int64
	return calls("KV/Range", func(ctx context.Context, send func(context.Context) error) error {
		if hangs(n.Add(1)) {
			<-ctx.Done()
			return ctx.Err()
		}
		return send(ctx)
	})
}

// The endpoint hangs once the entries were read. Open without a deadline does not wait for ever.
func TestOpenWithoutADeadlineBesideAnEndpointThatHangs(t *testing.T) {
	c := newCluster(t)
	c.fill(3)
	client := dial(t, c.proxy.address(), hanging(func(n int64) bool { return n > 1 }))
	_, err := etcd.Open(t.Context(), client, prefix, etcd.WithTimeout(200*time.Millisecond))
	require.ErrorIs(t, err, etcd.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// With one endpoint of three that hangs, a third of the pages does not come at once.
func TestAReadBesideAnEndpointThatHangs(t *testing.T) {
	c := newCluster(t)
	c.load(20_000)
	client := dial(t, c.proxy.address(), hanging(func(n int64) bool { return n%3 == 2 }))
	s, err := etcd.Open(t.Context(), client, prefix, etcd.WithTimeout(500*time.Millisecond))
	require.NoError(t, err)
	defer s.Close()
	assert.Equal(t, 20_000, s.Len())
}

// A client that takes messages of 1 MiB at most gets small pages.
func TestAClientThatRefusesLargePages(t *testing.T) {
	c := newCluster(t)
	for i := range 100 {
		c.put(name(i), strings.Repeat("x", 64<<10))
	}
	client := dial(t, c.proxy.address(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<20)))
	s, err := etcd.Open(t.Context(), client, prefix)
	require.NoError(t, err)
	defer s.Close()
	assert.Equal(t, c.contents(), s.Snapshot())
}

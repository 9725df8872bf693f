package single

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/etcd"
)

func TestWritesAreVisibleHereAndAfterASyncElsewhere(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	a, b := c.open(), c.open()
	for _, value := range []string{"1", "2", "3"} {
		require.NoError(t, a.Set(ctx, "key", value))
		got, ok := a.Get("key")
		assert.True(t, ok)
		assert.Equal(t, value, got)
		require.NoError(t, b.Sync(ctx))
		got, _ = b.Get("key")
		assert.Equal(t, value, got)
	}
	require.NoError(t, b.Delete(ctx, "key"))
	_, ok := b.Get("key")
	assert.False(t, ok)
	require.NoError(t, a.Delete(ctx, "key"), "a key that another replica has deleted")
	_, ok = a.Get("key")
	assert.False(t, ok)
}

func TestKeysAndValuesMayBeAnyBytes(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	a := c.open()
	want := map[string]string{}
	for _, text := range []string{"\x00", "\xff", "\xff\xff", "a\nb", "ä", "\"", " ", "app/", strings.Repeat("k", 2000)} {
		require.NoError(t, a.Set(ctx, text, text), "%q", text)
		want[text] = text
	}
	require.NoError(t, a.Set(ctx, "empty", ""))
	want["empty"] = ""
	assert.Equal(t, want, a.Snapshot())
	assert.Equal(t, want, c.open().Snapshot(), "read by pages")
}

func TestOtherKeysOfTheClusterStayOut(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	for _, key := range []string{"app", "app.", "app0", "ap", "b", prefix} {
		_, err := c.direct.Put(ctx, key, "stranger")
		require.NoError(t, err)
	}
	c.put("key", "ours")
	require.NoError(t, s.Sync(ctx))
	assert.Equal(t, map[string]string{"key": "ours"}, s.Snapshot())
	assert.Equal(t, map[string]string{"key": "ours"}, c.open().Snapshot())
}

// A Store uses the connection of a client and not its interfaces, which may be wrapped: reads,
// writes and events would be of different keys.
func TestAWrappedClient(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	client := c.client()
	client.KV = namespace.NewKV(client.KV, "space/")
	client.Lease = namespace.NewLease(client.Lease, "space/")
	client.Watcher = namespace.NewWatcher(client.Watcher, "space/")
	s, err := etcd.Open(ctx, client, prefix, etcd.WithTimeout(time.Second))
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Set(ctx, "set", "1"))
	require.NoError(t, s.Update(ctx, increment("updated")))
	require.NoError(t, s.SetWithTTL(ctx, "ends", "1", time.Hour))
	c.put("put", "1")
	c.follows(s)
	assert.Equal(t, map[string]string{"set": "1", "updated": "1", "ends": "1", "put": "1"}, s.Snapshot())
}

func TestAPrefixOfTheLastBytes(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s, err := etcd.Open(ctx, c.client(), "\xff")
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Set(ctx, "\xff", "last"))
	c.put("key", "stranger")
	require.NoError(t, s.Sync(ctx))
	assert.Equal(t, map[string]string{"\xff": "last"}, s.Snapshot())
}

func TestTheMarkIsHidden(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	assert.Zero(t, s.Len())
	assert.Empty(t, s.Snapshot())
	assert.Empty(t, maps.Collect(s.All()))
	require.NoError(t, s.Set(ctx, "key", "value"))
	_, ok := s.Get("")
	assert.False(t, ok)
	assert.Equal(t, 1, s.Len())
	assert.Equal(t, 1, s.Stats().Replica.Entries)
	assert.Equal(t, map[string]string{"key": "value"}, maps.Collect(s.All()))
	require.NoError(t, s.View(func(v *etcd.View) error {
		_, ok := v.Get("")
		assert.False(t, ok)
		value, _ := v.Get("key")
		assert.Equal(t, "value", value)
		assert.Equal(t, 1, v.Len())
		assert.Equal(t, map[string]string{"key": "value"}, maps.Collect(v.All()))
		assert.Equal(t, s.Revision(), v.Revision())
		return nil
	}))
	for view, changes := range s.Watch(ctx) {
		assert.Equal(t, []genie.Change{{Key: "key", New: "value", Exists: true}}, slices.Collect(changes))
		assert.Equal(t, 1, view.Len())
		break
	}
	require.ErrorIs(t, s.Set(ctx, "", "x"), fs.ErrInvalid)
	require.ErrorIs(t, s.SetWithTTL(ctx, "", "x", time.Minute), fs.ErrInvalid)
	require.ErrorIs(t, s.Delete(ctx, ""), fs.ErrInvalid)
	require.ErrorIs(t, s.Update(ctx, func(tx *etcd.Tx) error {
		_, ok := tx.Get("")
		assert.False(t, ok)
		tx.Set("", "x")
		return nil
	}), fs.ErrInvalid)
}

// The steps of a Watch skip those in which only the revision moves, and have transactions whole.
func TestWatch(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	steps := make(chan []genie.Change, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, changes := range s.Watch(ctx) {
			steps <- slices.SortedFunc(changes, func(a, b genie.Change) int { return strings.Compare(a.Key, b.Key) })
		}
	}()
	assert.Empty(t, <-steps, "nothing is there yet")
	_, err := c.direct.Put(ctx, "elsewhere", "x")
	require.NoError(t, err)
	require.NoError(t, s.Sync(ctx))
	require.NoError(t, s.Update(ctx, func(tx *etcd.Tx) error {
		tx.Set("a", "1")
		tx.Set("b", "2")
		return nil
	}))
	assert.Equal(t, []genie.Change{{Key: "a", New: "1", Exists: true}, {Key: "b", New: "2", Exists: true}}, <-steps)
	cancel()
	<-ended
}

func TestSyncOnAQuietPrefix(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	for range 20 {
		answer, err := c.direct.Put(ctx, "elsewhere", "x")
		require.NoError(t, err)
		require.NoError(t, s.Sync(ctx))
		assert.GreaterOrEqual(t, s.Revision(), answer.Header.Revision)
	}
}

func TestManyCallersAtOnce(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	a, b := c.open(), c.open()
	require.NoError(t, inParallel(32, func(i int) error {
		s, key := a, string(rune('a'+i))
		if i%2 == 0 {
			s = b
		}
		for n := range 20 {
			value := strings.Repeat("x", n)
			if err := s.Set(ctx, key, value); err != nil {
				return err
			}
			got, _ := s.Get(key)
			assert.Equal(t, value, got)
		}
		return s.Sync(ctx)
	}))
	c.follows(a)
	c.follows(b)
}

// Writes of many callers are fewer transactions, also for a server that takes five operations only.
func TestWritesTravelTogether(t *testing.T) {
	const callers, each = 64, 20
	for _, operations := range []uint{128, 5} {
		t.Run(fmt.Sprint(operations), func(t *testing.T) {
			ctx, c := t.Context(), newCluster(t, func(config *embed.Config) { config.MaxTxnOps = operations })
			s := c.open(etcd.WithTimeout(time.Minute))
			before := s.Revision()
			require.NoError(t, inParallel(callers, func(i int) error {
				key := fmt.Sprint(i)
				for n := range each {
					if err := s.Set(ctx, key, fmt.Sprint(n)); err != nil {
						return err
					}
					got, _ := s.Get(key)
					assert.Equal(t, fmt.Sprint(n), got)
				}
				if i%2 == 0 {
					return nil
				}
				err := s.Delete(ctx, key)
				_, there := s.Get(key)
				assert.False(t, there)
				return err
			}))
			revisions := s.Revision() - before
			t.Logf("%d writes in %d transactions", callers*each+callers/2, revisions)
			assert.Less(t, revisions, int64(callers*each))
			assert.Equal(t, callers/2, s.Len())
			c.follows(s)
		})
	}
}

func TestSetWithTTL(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	require.NoError(t, s.SetWithTTL(ctx, "ends", "x", time.Millisecond))
	require.NoError(t, s.SetWithTTL(ctx, "stays", "x", time.Millisecond))
	require.NoError(t, s.Set(ctx, "stays", "y"))
	require.NoError(t, s.SetWithTTL(ctx, "updated", "x", time.Millisecond))
	require.NoError(t, s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("updated", "y"); return nil }))
	require.NoError(t, s.Set(ctx, "gone", "x"))
	require.NoError(t, s.SetWithTTL(ctx, "gone", "y", 0))
	assert.Equal(t, map[string]string{"ends": "x", "stays": "y", "updated": "y"}, s.Snapshot())
	eventually(t, func() bool { _, there := s.Get("ends"); return !there }, "the cluster deletes the key")
	eventually(t, func() bool {
		leases, err := c.direct.Leases(ctx)
		return err == nil && len(leases.Leases) == 0
	}, "the detached leases end, too")
	assert.Equal(t, map[string]string{"stays": "y", "updated": "y"}, s.Snapshot())
}

// A lease that ends before its write: nothing was written, and the error says so.
func TestALeaseThatEndsBeforeItsWrite(t *testing.T) {
	c := newCluster(t)
	grants := calls("Lease/LeaseGrant", func(ctx context.Context, send func(context.Context) error) error {
		if err := send(ctx); err != nil {
			return err
		}
		leases, err := c.direct.Leases(ctx)
		if err != nil {
			return err
		}
		for _, lease := range leases.Leases {
			_, err = c.direct.Revoke(ctx, lease.ID)
		}
		return err
	})
	s, err := etcd.Open(t.Context(), dial(t, c.proxy.address(), grants), prefix)
	require.NoError(t, err)
	defer s.Close()
	err = s.SetWithTTL(t.Context(), "key", "value", time.Minute)
	require.ErrorIs(t, err, rpctypes.ErrLeaseNotFound)
	require.NotErrorIs(t, err, etcd.ErrUnknown)
	assert.Empty(t, c.contents())
}

// Both forms of too large, a transaction with too many operations, and a full database.
func TestLimits(t *testing.T) {
	ctx := t.Context()
	c := newCluster(t, func(config *embed.Config) { config.QuotaBackendBytes = 24 << 20 })
	s := c.open(etcd.WithTimeout(10 * time.Second))
	require.NoError(t, s.Set(ctx, "key", "old"))
	for _, size := range []int{1600 << 10, 3 << 20} {
		err := s.Set(ctx, "key", strings.Repeat("x", size))
		require.ErrorIs(t, err, etcd.ErrTooLarge)
		require.NotErrorIs(t, err, etcd.ErrUnknown)
	}
	writes := func(n int) error {
		return s.Update(ctx, func(tx *etcd.Tx) error {
			for i := range n {
				tx.Set("key"+string(rune('0'+i)), "x")
			}
			return nil
		})
	}
	require.NoError(t, writes(127))
	err := writes(128)
	require.ErrorIs(t, err, etcd.ErrTooLarge)
	require.ErrorIs(t, err, rpctypes.ErrTooManyOps)

	for i := 0; err == nil || errors.Is(err, etcd.ErrTooLarge); i++ {
		require.Less(t, i, 100)
		err = s.Set(ctx, fmt.Sprint("large", i), strings.Repeat("x", 1<<20))
	}
	require.ErrorIs(t, err, etcd.ErrQuota)
	require.ErrorIs(t, err, rpctypes.ErrNoSpace)
	require.NoError(t, inParallel(64, func(i int) error {
		if i%2 == 0 {
			assert.ErrorIs(t, s.Set(ctx, fmt.Sprint(i), strings.Repeat("x", 1<<20)), etcd.ErrQuota)
			return nil
		}
		return s.Delete(ctx, fmt.Sprint("large", i))
	}), "a full cluster deletes")
}

func TestRefusalsSpeakForThemselves(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s, err := etcd.Open(ctx, c.user(clientv3.PermissionType(clientv3.PermRead)), prefix)
	require.NoError(t, err)
	defer s.Close()
	for name, err := range map[string]error{
		"Set":    s.Set(ctx, "key", "x"),
		"Delete": s.Delete(ctx, "key"),
		"Update": s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("key", "x"); return nil }),
	} {
		assert.ErrorIs(t, err, rpctypes.ErrPermissionDenied, name)
		assert.NotErrorIs(t, err, etcd.ErrUnknown, name)
		assert.NotErrorIs(t, err, etcd.ErrUnavailable, name)
	}
}

// An entry may live as long as a Duration can say.
func TestTheLongestTimeToLive(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	require.NoError(t, s.SetWithTTL(ctx, "key", "x", math.MaxInt64))
	leases, err := c.direct.Leases(ctx)
	require.NoError(t, err)
	require.Len(t, leases.Leases, 1)
	lease, err := c.direct.TimeToLive(ctx, leases.Leases[0].ID)
	require.NoError(t, err)
	assert.EqualValues(t, 9_000_000_000, lease.GrantedTTL)
}

func TestOpenRefuses(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	for name, try := range map[string]func() (*etcd.Store, error){
		"no client":       func() (*etcd.Store, error) { return etcd.Open(ctx, nil, prefix) },
		"no connection":   func() (*etcd.Store, error) { return etcd.Open(ctx, clientv3.NewCtxClient(ctx), prefix) },
		"an empty prefix": func() (*etcd.Store, error) { return etcd.Open(ctx, c.client(), "") },
		"a nil option":    func() (*etcd.Store, error) { return c.tryOpen(ctx, nil) },
		"an empty path":   func() (*etcd.Store, error) { return c.tryOpen(ctx, etcd.WithFile("")) },
		"no time":         func() (*etcd.Store, error) { return c.tryOpen(ctx, etcd.WithTimeout(0)) },
		"no backlog":      func() (*etcd.Store, error) { return c.tryOpen(ctx, etcd.WithBacklog(0)) },
		"no logger":       func() (*etcd.Store, error) { return c.tryOpen(ctx, etcd.WithLogger(nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := try()
			require.ErrorIs(t, err, fs.ErrInvalid)
		})
	}
}

func TestOpenKeepsAFileThatIsNotItsReplica(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	t.Run("another program's", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file.json")
		require.NoError(t, os.WriteFile(path, []byte(`{"mine":"1"}`), 0o600))
		_, err := c.tryOpen(ctx, etcd.WithFile(path))
		require.ErrorIs(t, err, etcd.ErrNotReplica)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.JSONEq(t, `{"mine":"1"}`, string(text))
	})
	t.Run("another prefix's", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file.json")
		s, err := etcd.Open(ctx, c.client(), "other/", etcd.WithFile(path))
		require.NoError(t, err)
		require.NoError(t, s.Set(ctx, "key", "x"))
		require.NoError(t, s.Close())
		_, err = c.tryOpen(ctx, etcd.WithFile(path))
		require.ErrorIs(t, err, etcd.ErrNotReplica)
	})
	t.Run("a folder", func(t *testing.T) {
		_, err := c.tryOpen(ctx, etcd.WithFile(t.TempDir()))
		require.ErrorIs(t, err, genie.ErrNotRegular)
	})
}

// WriteTo makes a file that a replica on another machine starts from.
func TestWriteToIsAFile(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	require.NoError(t, s.Set(ctx, "key", "value"))
	var copied bytes.Buffer
	_, err := s.WriteTo(&copied)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "copy.json")
	require.NoError(t, os.WriteFile(path, copied.Bytes(), 0o600))
	require.NoError(t, s.Set(ctx, "later", "value"))

	other := c.open(etcd.WithFile(path))
	assert.Equal(t, s.Snapshot(), other.Snapshot())
	assert.Zero(t, other.Stats().Reads, "it did not read everything")
}

func TestClose(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open()
	require.NoError(t, s.Set(ctx, "key", "value"))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	value, _ := s.Get("key")
	assert.Equal(t, "value", value, "reads go on")
	for name, call := range map[string]func() error{
		"Set":        func() error { return s.Set(ctx, "key", "x") },
		"SetWithTTL": func() error { return s.SetWithTTL(ctx, "key", "x", time.Hour) },
		"Delete":     func() error { return s.Delete(ctx, "key") },
		"Update":     func() error { return s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("key", "x"); return nil }) },
		"Sync":       func() error { return s.Sync(ctx) },
	} {
		assert.ErrorIs(t, call(), etcd.ErrClosed, name)
	}
	_, open := <-s.Errors()
	assert.False(t, open)
	assert.Equal(t, map[string]string{"key": "value"}, c.contents())
}

// A context that has ended before the call: nothing is sent, and the error says so.
func TestAContextThatHasEnded(t *testing.T) {
	c := newCluster(t)
	s := c.open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		for _, err := range []error{
			s.Set(ctx, "key", "x"),
			s.SetWithTTL(ctx, "key", "x", time.Hour),
			s.Delete(ctx, "key"),
			s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("key", "x"); return nil }),
			s.Sync(ctx),
		} {
			require.ErrorIs(t, err, etcd.ErrUnavailable)
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, etcd.ErrUnknown)
		}
	}
	assert.Empty(t, c.contents())
}

// A Close ends the calls that wait.
func TestCloseEndsWaits(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	s := c.open(etcd.WithTimeout(time.Minute))
	c.proxy.hold(replies)
	failed := make(chan error, 3)
	go func() { failed <- s.Set(ctx, "key", "x") }()
	go func() { failed <- s.Sync(ctx) }()
	go func() { failed <- s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("other", "x"); return nil }) }()
	eventually(t, func() bool { return len(c.contents()) == 2 }, "the cluster has the writes")
	require.NoError(t, s.Close())
	for range 3 {
		require.ErrorIs(t, <-failed, etcd.ErrClosed)
	}
}

// goroutines counts those with a function of a package on their stacks.
func goroutines(function string) (n int) {
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(stack, []byte(function)) {
			n++
		}
	}
	return n
}

// Close returns when the Store's goroutines have ended, and has the client end those of the watch,
// whatever the Store was doing.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	const ours, theirs = "genie/etcd.(", "clientv3.(*watch"
	for name, meanwhile := range map[string]func(c *cluster){
		"while it follows":                       func(c *cluster) {},
		"while the cluster is away":              func(c *cluster) { c.proxy.refuse() },
		"while an endpoint hangs":                func(c *cluster) { c.proxy.hold(requests); c.proxy.hold(replies) },
		"while everything is read":               func(c *cluster) { c.proxy.refuse(); c.churn(60); c.compact(c.t.Context()); c.proxy.admit("") },
		"while the server is stopped for good":   func(c *cluster) { c.stop() },
		"while the watch begins again and again": func(c *cluster) { c.churn(60) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.t = t
			c.fill(60)
			s := c.open(etcd.WithFile(filepath.Join(t.TempDir(), "replica.json")), etcd.WithBacklog(1))
			assert.Equal(t, 6, goroutines(ours), "the check sees them")
			meanwhile(c)
			require.NoError(t, s.Close())
			assert.Zero(t, goroutines(ours))
			eventually(t, func() bool { return goroutines(theirs) == 0 }, "those of the client")
		})
	}
}

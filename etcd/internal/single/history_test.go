package single

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/etcd"
)

// at returns the keys of the prefix at a revision, by etcd's own history.
func (c *cluster) at(ctx context.Context, revision int64) (map[string]string, error) {
	answer, err := c.direct.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(revision))
	if err != nil {
		return nil, err
	}
	m := make(map[string]string)
	for _, kv := range answer.Kvs {
		if key := string(kv.Key[len(prefix):]); key != "" {
			m[key] = string(kv.Value)
		}
	}
	return m, nil
}

// write makes random transactions until ctx ends: each sets or deletes up to five of ten keys.
func (c *cluster) write(ctx context.Context) {
	for ctx.Err() == nil {
		var ops []clientv3.Op
		for i := range 10 {
			switch key := fmt.Sprintf("%s%d", prefix, i); rand.N(6) {
			case 0:
				ops = append(ops, clientv3.OpDelete(key))
			case 1, 2:
				ops = append(ops, clientv3.OpPut(key, fmt.Sprint(rand.N(1000))))
			}
		}
		c.direct.Txn(ctx).Then(ops...).Commit()
		if rand.N(10) == 0 {
			c.direct.Put(ctx, "elsewhere", "x")
		}
	}
}

// Each view, and each step of a watch, is the cluster at the revision that it names, and revisions
// do not go back.
func TestEveryViewIsTheClusterAtItsRevision(t *testing.T) {
	c := newCluster(t)
	path := filepath.Join(t.TempDir(), "replica.json")
	s := c.open(etcd.WithFile(path), etcd.WithBacklog(2000))
	ctx, cancel := context.WithCancel(t.Context())
	stopWriting := make(chan struct{})
	writing, stop := context.WithCancel(ctx)
	go func() { defer close(stopWriting); c.write(writing) }()
	var steps atomic.Int64
	watched := make(chan struct{})
	go func() { defer close(watched); c.watch(ctx, t, s, &steps) }()

	views, last := 0, int64(0)
	began := time.Now()
	enough := func() bool { return steps.Load() > 10 && s.Stats().Restarts > 0 || time.Since(began) > time.Minute }
	for n := 0; time.Since(began) < 3*time.Second || !enough(); n++ {
		switch {
		case n%200 == 50:
			c.proxy.breakAll()
		case n%200 == 100:
			c.proxy.hold(replies)
		case n%200 == 120:
			c.proxy.release()
		case n%200 == 150 && s.Sync(ctx) == nil:
			value := fmt.Sprint(n)
			if s.Set(ctx, "own", value) == nil {
				got, _ := s.Get("own")
				assert.Equal(t, value, got)
			}
		}
		revision, entries := viewOf(s)
		require.GreaterOrEqual(t, revision, last)
		want, err := c.at(ctx, revision)
		require.NoError(t, err)
		require.Equal(t, want, entries, "revision %d", revision)
		views, last = views+1, revision
	}
	stop()
	<-stopWriting
	c.proxy.release()
	c.follows(s)
	cancel()
	<-watched
	t.Logf("%d views and %d steps up to revision %d, %+v", views, steps.Load(), last, s.Stats())
	assert.Greater(t, steps.Load(), int64(10))
	assert.NotZero(t, s.Stats().Restarts)

	// The file has one revision, too.
	require.NoError(t, s.Close())
	c.proxy.refuse()
	revision, entries := viewOf(c.open(etcd.WithFile(path), etcd.WithTimeout(50*time.Millisecond)))
	want, err := c.at(t.Context(), revision)
	require.NoError(t, err)
	assert.Equal(t, want, entries)
}

func viewOf(s *etcd.Store) (revision int64, entries map[string]string) {
	s.View(func(v *etcd.View) error {
		revision, entries = v.Revision(), maps.Collect(v.All())
		return nil
	})
	return revision, entries
}

// watch replays the changes of a Watch on a map, and compares the map with the cluster at each
// step. It counts the steps.
func (c *cluster) watch(ctx context.Context, t *testing.T, s *etcd.Store, steps *atomic.Int64) {
	replayed, last := map[string]string{}, int64(0)
	for view, changes := range s.Watch(ctx) {
		for change := range changes {
			replay(replayed, change)
		}
		revision := view.Revision()
		assert.GreaterOrEqual(t, revision, last)
		want, err := c.at(ctx, revision)
		if err != nil {
			break // ctx has ended
		}
		assert.Equal(t, want, replayed)
		steps.Add(1)
		last = revision
	}
}

func replay(m map[string]string, change genie.Change) {
	if change.Exists {
		m[change.Key] = change.New
	} else {
		delete(m, change.Key)
	}
}

// A compaction leaves a gap in the history of a replica that is cut off. One step leads over it.
func TestOneStepLeadsOverACompaction(t *testing.T) {
	ctx, c := t.Context(), newCluster(t)
	c.fill(30)
	s := c.open()
	ctx, cancel := context.WithCancel(ctx)
	steps := make(chan int, 100)
	ended := make(chan struct{})
	replayed := map[string]string{}
	go func() {
		defer close(ended)
		for _, changes := range s.Watch(ctx) {
			n := 0
			for change := range changes {
				replay(replayed, change)
				n++
			}
			steps <- n
		}
	}()
	assert.Equal(t, 30, <-steps)
	c.proxy.refuse()
	c.churn(30)
	c.compact(ctx)
	c.proxy.admit("")
	c.follows(s)
	assert.Equal(t, 21, <-steps, "ten deleted, ten changed, one added")
	cancel()
	<-ended
	assert.Equal(t, c.contents(), replayed)
}

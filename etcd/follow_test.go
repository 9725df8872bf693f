package etcd

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie"
)

// received has a session of cluster 1 receive some responses while no goroutine applies any, and
// returns the session and the reason for its end, or nil if it goes on.
func received(limit int, responses ...clientv3.WatchResponse) (*session, error) {
	ctx, end := context.WithCancelCause(context.Background())
	f := &follower{Store: newStore(nil, "p/", settings{}, nil)}
	s := &session{follower: f, cluster: 1, inbox: newInbox(limit), end: end}
	events := make(chan clientv3.WatchResponse) // unbuffered: a response that was sent was taken
	done := make(chan struct{})
	go func() { defer close(done); s.receive(ctx, events) }()
	for _, r := range responses {
		select {
		case events <- r:
		case <-ctx.Done():
		}
	}
	reason := context.Cause(ctx)
	end(nil)
	<-done
	return s, reason
}

func TestASessionEndsWhenTheReplicaDoesNotKeepUp(t *testing.T) {
	one := response(1, set("key", "value", 1))
	responses := make([]clientv3.WatchResponse, 1000)
	for i := range responses {
		responses[i] = one
	}
	s, reason := received(10*size(one), responses...)
	require.Equal(t, errBehind, reason)
	assert.Len(t, s.inbox.take(), 10, "the memory is bounded")
	assert.EqualValues(t, 1, s.position.stats().Restarts)

	_, reason = received(1000*size(one), responses...)
	require.NoError(t, reason)
}

func TestASessionEndsWithItsWatch(t *testing.T) {
	other := response(7, set("key", "value", 7))
	other.Header.ClusterId = 2
	for name, test := range map[string]struct {
		last clientv3.WatchResponse
		want error
	}{
		"compacted":       {clientv3.WatchResponse{Canceled: true, CompactRevision: 9}, rpctypes.ErrCompacted},
		"cancelled":       {clientv3.WatchResponse{Canceled: true, CancelReason: "etcdserver: no leader"}, ErrUnavailable},
		"another cluster": {other, errHistory},
	} {
		t.Run(name, func(t *testing.T) {
			s, reason := received(1<<20, response(6, set("key", "value", 6)), test.last, response(8))
			require.ErrorIs(t, reason, test.want)
			assert.Len(t, s.inbox.take(), 1, "what came before is kept")
		})
	}
}

// Entries and mark change in one step, and the position follows.
func TestApply(t *testing.T) {
	replica, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	f := &follower{Store: newStore(nil, "p/", settings{}, replica)}
	f.replace([]change{{key: "a", value: "1"}}, mark{Revision: 10, Cluster: 1, Prefix: "p/", Witness: witness{Key: "a", At: 9}})
	assert.Equal(t, standing{mark{10, 1, "p/", witness{Key: "a", At: 9}, 0}, "1"}, f.standing())

	seen := make(chan int64, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for view := range f.Watch(ctx) {
			seen <- view.Revision()
		}
	}()
	assert.EqualValues(t, 10, <-seen)
	f.apply(fold([]clientv3.WatchResponse{response(12)}, "p/", 10)) // progress alone: no step
	f.apply(fold([]clientv3.WatchResponse{response(13, set("b", "2", 13), removed("a", 13))}, "p/", 12))
	assert.EqualValues(t, 13, <-seen)
	assert.Equal(t, map[string]string{"b": "2"}, f.Snapshot())
	assert.EqualValues(t, 13, f.Revision())
	f.apply(batch{})
	assert.EqualValues(t, 13, f.standing().Revision)
	assert.Equal(t, witness{"a", 13, true}, f.standing().Witness)
	cancel()
	<-done
}

// answers is a KV whose reads are answered by a function. An answer of nil says that the revision was
// compacted.
type answers struct {
	clientv3.KV
	get func(key string, rev int64) *clientv3.GetResponse
}

func (a answers) Get(_ context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if answer := a.get(key, clientv3.OpGet(key, opts...).Rev()); answer != nil {
		return answer, nil
	}
	return nil, rpctypes.ErrCompacted
}

// following returns a session that follows a cluster, which answers as get says, and its context.
func following(t *testing.T, get func(key string, rev int64) *clientv3.GetResponse) (*session, context.Context) {
	replica, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	f := &follower{Store: newStore(nil, "p/", settings{timeout: time.Second}, replica), patience: time.Second}
	f.life, f.kv = t.Context(), answers{get: get}
	f.replace([]change{{key: "a", value: "1"}}, mark{Revision: 10, Cluster: 1, Prefix: "p/", Witness: witness{Key: "a", At: 9}})
	ctx, end := context.WithCancelCause(t.Context())
	s := &session{follower: f, cluster: 1, inbox: newInbox(1 << 20), end: end}
	s.reached(ctx)
	require.True(t, s.position.stats().Following)
	return s, ctx
}

// Whichever part of a session finds another history, writes stop in that moment, and no other
// part that still runs lets them go on.
func TestAnotherHistoryStopsWrites(t *testing.T) {
	other := func(string, int64) *clientv3.GetResponse {
		return &clientv3.GetResponse{Header: &etcdserverpb.ResponseHeader{ClusterId: 2, Revision: 10}}
	}
	response := response(11)
	response.Header.ClusterId = 2
	events := make(chan clientv3.WatchResponse, 1)
	events <- response
	for name, find := range map[string]func(*session, context.Context){
		"by a check":      func(s *session, ctx context.Context) { s.checkOnce(ctx) },
		"by the response": func(s *session, ctx context.Context) { s.receive(ctx, events) },
	} {
		t.Run(name, func(t *testing.T) {
			s, ctx := following(t, other)
			find(s, ctx)
			require.Equal(t, errHistory, context.Cause(ctx))
			assert.False(t, s.position.stats().Following)
			s.reached(ctx)
			assert.False(t, s.position.stats().Following, "the session has ended")
		})
	}
}

// replaceable returns a follower whose replica has n entries, and the changes that replace them all.
func replaceable(t *testing.T, n int) (*follower, []change) {
	replica, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	f := &follower{Store: newStore(nil, "p/", settings{}, replica)}
	var old, news []change
	for i := range n {
		old = append(old, change{key: fmt.Sprintf("old\xff%d", i), value: "1"})
		news = append(news, change{key: old[i].key, deleted: true}, change{key: fmt.Sprintf("new\xff%d", i), value: "\xfe"})
	}
	f.put(old)
	return f, news
}

// A large difference and a small one have the same result, in one step.
func TestReplace(t *testing.T) {
	for _, n := range []int{10, manyChanges} {
		f, changes := replaceable(t, n)
		changes = changes[:len(changes)-2] // the last entry stays
		steps := 0
		for view := range f.Watch(t.Context()) {
			if steps++; steps == 1 {
				f.replace(changes, mark{Revision: 10, Cluster: 1, Prefix: "p/"})
				continue
			}
			assert.EqualValues(t, 10, view.Revision())
			assert.Equal(t, n, view.Len())
			_, there := view.Get(fmt.Sprintf("old\xff%d", n-1))
			assert.True(t, there)
			value, _ := view.Get("new\xff0")
			assert.Equal(t, "\xfe", value)
			break
		}
		assert.EqualValues(t, 10, f.standing().Revision)
	}
}

// Reads wait for an Update of the replica, so a large difference is not applied by one. The negative
// control applies it by one.
func TestReadsGoOnWhileEverythingIsReplaced(t *testing.T) {
	for name, test := range map[string]struct {
		replace func(*follower, []change)
		waits   bool
	}{
		"aside":   {func(f *follower, changes []change) { f.replace(changes, mark{Revision: 10, Cluster: 1}) }, false},
		"control": {func(f *follower, changes []change) { f.put(changes) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			f, changes := replaceable(t, 100_000)
			done := make(chan time.Duration)
			go func() {
				began := time.Now()
				test.replace(f, changes)
				done <- time.Since(began)
			}()
			longest := time.Duration(0)
			for {
				select {
				case took := <-done:
					t.Logf("longest Get %v of %v", longest, took)
					assert.Equal(t, test.waits, longest > took/2)
					return
				default:
					began := time.Now()
					f.Get("old")
					longest = max(longest, time.Since(began))
				}
			}
		})
	}
}

// A history is what a cluster answers about the key "p/a", which was written at some revisions.
type history struct {
	cluster  uint64
	revision int64
	values   map[int64]string
}

func (h history) get(_ string, rev int64) *clientv3.GetResponse {
	answer := &clientv3.GetResponse{Header: &etcdserverpb.ResponseHeader{ClusterId: h.cluster, Revision: h.revision}}
	if rev == 0 {
		rev = h.revision
	}
	for at := rev; at > 0; at-- {
		if value, there := h.values[at]; there {
			answer.Kvs = []*mvccpb.KeyValue{{Key: []byte("p/a"), Value: []byte(value), ModRevision: at}}
			break
		}
	}
	return answer
}

// The cluster was restored under a connection that did not break, and has sent an event since: the
// last event of the replica is of the new history, and the one before, which was proved, is not.
func TestTheWitnessBeforeIsJudgedToo(t *testing.T) {
	for name, test := range map[string]struct {
		then history
		want error
	}{
		"the same history":  {history{1, 11, map[int64]string{9: "1", 11: "2"}}, nil},
		"restored":          {history{1, 11, map[int64]string{5: "1", 11: "2"}}, errHistory},
		"written elsewhere": {history{1, 11, map[int64]string{9: "x", 11: "2"}}, errHistory},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := history{1, 10, map[int64]string{9: "1"}}
			s, ctx := following(t, func(key string, rev int64) *clientv3.GetResponse { return cluster.get(key, rev) })
			require.NoError(t, s.checkOnce(ctx))
			require.NoError(t, context.Cause(ctx))
			cluster = test.then
			s.apply(batch{changes: []change{{key: "a", value: "2"}}, revision: 11, witness: witness{Key: "a", At: 11}})
			require.NoError(t, s.checkOnce(ctx))
			assert.Equal(t, test.want, context.Cause(ctx))
		})
	}
}

// The same, and the restored cluster has compacted the history in which the event before could be
// looked up. Nothing proves the replica then, and the next session reads everything.
func TestAWitnessBeforeThatWasCompactedProvesNothing(t *testing.T) {
	cluster, compacted := history{1, 10, map[int64]string{9: "1"}}, int64(0)
	s, ctx := following(t, func(key string, rev int64) *clientv3.GetResponse {
		if rev != 0 && rev < compacted {
			return nil
		}
		return cluster.get(key, rev)
	})
	require.NoError(t, s.checkOnce(ctx))
	cluster, compacted = history{1, 12, map[int64]string{5: "1", 11: "2"}}, 10
	s.apply(batch{changes: []change{{key: "a", value: "2"}}, revision: 11, witness: witness{Key: "a", At: 11}})
	for range 2 { // the first look does not make it proved for the second
		v, _, err := s.verify(ctx, true)
		require.NoError(t, err)
		assert.Equal(t, unproven, v)
	}
	v, _, err := s.verify(ctx, false)
	require.NoError(t, err)
	assert.Equal(t, same, v, "within a session, the watch is of one history")
	v, _, err = s.verify(ctx, true)
	require.NoError(t, err)
	assert.Equal(t, same, v)
}

// A watch that hangs is found after the timeout, also in a session that has learnt patience.
func TestPatienceIsForTheWayToTheCluster(t *testing.T) {
	s, _ := following(t, nil)
	s.patience = 7 * time.Second
	assert.Equal(t, time.Second, s.patienceNow())
	s.followed.Store(false)
	assert.Equal(t, 7*time.Second, s.patienceNow())
}

func TestTheLongestTimeout(t *testing.T) {
	var chosen settings
	require.NoError(t, WithTimeout(math.MaxInt64)(&chosen))
	f := &follower{Store: newStore(nil, "p/", chosen, nil), patience: chosen.timeout}
	for range 10 {
		f.learn(errStalled, false)
	}
	assert.Equal(t, maxPatience*longestTimeout, f.patience)
	assert.Positive(t, f.patience)
}

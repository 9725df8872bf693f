package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie/etcd"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/cluster"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/history"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/proxy"
)

var errNoProgress = errors.New("no progress")

// limit is how long a run waits for a condition before it fails.
const limit = time.Minute

// A run is a cluster, its replicas, and all that their workers have done and seen.
type run struct {
	t        *testing.T
	ctx      context.Context
	cluster  *cluster.Cluster
	replicas [3]*replica

	// patience is how long a caller waits for one call. It is longer than most elections.
	patience time.Duration

	// some is how many acknowledged writes a cycle waits for between its steps. A fault so lasts
	// until the cluster works in spite of it.
	some int64

	// ttls is how many different times to live are given, from two seconds on.
	ttls int

	// sync comes before every read of the history. A negative control leaves it out.
	sync func(context.Context, *etcd.Store) error

	history                     *history.History
	ledger                      *ledger
	findings                    findings
	increments, maybeIncrements atomic.Int64
	lastError                   atomic.Pointer[error] // of a write, for messages

	begun               time.Time
	stop                chan struct{} // closed when the workers are to stop
	workers             sync.WaitGroup
	cycles              int           // of the fault
	restarts, inspected int           // of the replica with a file, and how often it reached the cluster
	endedMeanwhile      int           // entries of calm groups, while the workers ran
	longest             time.Duration // without an acknowledged write anywhere
}

// newRun starts a cluster with three replicas, which end with the test.
func newRun(t *testing.T, quota int64) *run {
	t.Helper()
	r := &run{
		t: t, ctx: t.Context(), patience: 1500 * time.Millisecond, some: 30, ttls: 1,
		sync:    func(ctx context.Context, store *etcd.Store) error { return store.Sync(ctx) },
		history: history.New(), ledger: newLedger(), stop: make(chan struct{}),
	}
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	var err error
	r.cluster, err = cluster.Start(ctx, t.TempDir(), quota)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.cluster.Close()) })
	for n := range r.replicas {
		r.replicas[n] = openReplica(t, ctx, n, r.cluster)
	}
	require.NoError(t, r.replicas[0].store.Update(ctx, func(tx *etcd.Tx) error {
		tx.Set(counterKey, "0")
		return openBank(tx)
	}))
	for _, one := range r.replicas {
		require.NoError(t, one.store.Sync(ctx))
	}
	return r
}

// work runs the workers, and inject again and again beside them until length has passed.
func (r *run) work(length time.Duration, inject func(*run) error) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer cancel()
	for _, one := range r.replicas {
		watchers.Go(func() { one.mirror.follow(ctx, one.store, &r.findings) })
		watchers.Go(func() { r.followRevision(ctx, one) })
	}
	watchers.Go(func() { r.measureGaps(ctx) })
	r.start()
	for err := error(nil); err == nil && (r.cycles == 0 || time.Since(r.begun) < length); r.cycles++ {
		if err = inject(r); err != nil {
			r.findings.add("fault: %v", err)
		}
	}
	r.halt()
	r.settle()
}

// start starts the workers.
func (r *run) start() {
	r.begun = time.Now()
	id := 0
	for _, one := range r.replicas {
		for n := range writers + swappers {
			w := &worker{run: r, replica: one, id: id}
			w.stirs = r.begun.Add(time.Duration(id) * calmPause / time.Duration(len(r.replicas)*(writers+swappers)))
			id++
			if n < writers {
				r.workers.Go(w.writeOn)
			} else {
				r.workers.Go(w.swapOn)
			}
		}
	}
	r.workers.Go(r.restartReplica)
}

// halt stops the workers and waits for them.
func (r *run) halt() {
	close(r.stop)
	r.workers.Wait()
	r.endedMeanwhile = r.ended()
}

func (r *run) stopped() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// followRevision sees that the revision of a replica never falls.
func (r *run) followRevision(ctx context.Context, one *replica) {
	last := int64(0)
	r.poll(ctx, func() bool {
		now := one.store.Revision()
		if now < last {
			r.findings.add("replica %d: revision %d after %d", one.number, now, last)
		}
		last = now
		return false
	})
}

// measureGaps measures the longest time without an acknowledged write.
func (r *run) measureGaps(ctx context.Context) {
	last, since := r.acknowledged(), time.Now()
	r.poll(ctx, func() bool {
		if now := r.acknowledged(); now != last {
			last, since = now, time.Now()
		}
		r.longest = max(r.longest, time.Since(since))
		return r.stopped()
	})
}

// poll calls done every few milliseconds until it returns true, or ctx ends.
func (r *run) poll(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// await waits for a condition, and returns an error if it does not come.
func (r *run) await(what string, condition func() bool) error {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	if r.poll(ctx, condition) != nil {
		return fmt.Errorf("%w: %s; the last error of a write: %v", errNoProgress, what, r.failure())
	}
	return nil
}

func (r *run) failure() error {
	if err := r.lastError.Load(); err != nil {
		return *err
	}
	return nil
}

// acknowledged returns how many writes all replicas, but those left out, were acknowledged.
func (r *run) acknowledged(without ...*replica) (n int64) {
	for _, one := range r.replicas {
		if len(without) == 0 || one != without[0] {
			n += one.counts.acknowledged.Load()
		}
	}
	return n
}

// progress waits until n more writes were acknowledged.
func (r *run) progress(n int64, without ...*replica) error {
	from := r.acknowledged(without...)
	return r.await(fmt.Sprintf("%d more writes", n), func() bool { return r.acknowledged(without...) >= from+n })
}

// total returns the counts of all replicas.
func (r *run) total() *counts {
	sum := &counts{}
	for _, one := range r.replicas {
		sum.add(&one.counts)
	}
	return sum
}

// settle heals all, and waits until all leases have ended, and the replicas, their mirrors and the
// cluster are equal.
func (r *run) settle() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	for _, one := range r.replicas {
		one.all((*proxy.Proxy).Pass)
	}
	require.NoError(r.t, r.cluster.Heal(ctx))
	r.awaitEnds(ctx)
	require.NoError(r.t, r.poll(ctx, func() bool { return len(r.differences(ctx)) == 0 }),
		"the replicas stay different: %v", r.differences(r.ctx))
}

// awaitEnds waits until the cluster has no lease any more. The leases without keys count as well: they
// must not take with them what was taken off them.
func (r *run) awaitEnds(ctx context.Context) {
	r.t.Helper()
	// A member lists the leases that it knows. After a linearizable read of the same member, these
	// are all that were granted before the read.
	client := newClient(r.t, r.cluster.Endpoints()[:1])
	require.NoError(r.t, r.poll(ctx, func() bool {
		_, err := client.Get(ctx, prefix)
		if err != nil {
			return false
		}
		left, err := client.Leases(ctx)
		return err == nil && len(left.Leases) == 0
	}), "leases do not end")
}

// differences returns which of the replicas and mirrors differ from the cluster, after a Sync.
func (r *run) differences(ctx context.Context) (all []string) {
	for _, one := range r.replicas {
		if err := one.store.Sync(ctx); err != nil {
			all = append(all, fmt.Sprintf("replica %d: %v", one.number, err))
		}
	}
	truth, err := r.truth(ctx)
	if err != nil {
		return append(all, err.Error())
	}
	for _, one := range r.replicas {
		if !maps.Equal(one.store.Snapshot(), truth) {
			all = append(all, fmt.Sprintf("replica %d", one.number))
		}
		if !one.mirror.equals(truth) {
			all = append(all, fmt.Sprintf("mirror %d", one.number))
		}
	}
	return all
}

// truth returns the entries as the cluster itself gives them.
func (r *run) truth(ctx context.Context) (map[string]string, error) {
	found, err := r.cluster.Client().Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, kv := range found.Kvs {
		if string(kv.Key) == prefix {
			continue // the Store's own
		}
		all[strings.TrimPrefix(string(kv.Key), prefix)] = string(kv.Value)
	}
	return all, nil
}

// check opens a fresh replica and checks every promise.
func (r *run) check(name string) {
	r.t.Helper()
	fresh := openStore(r.t, r.ctx, r.cluster.Endpoints())
	require.NoError(r.t, fresh.Sync(r.ctx))
	found := fresh.Snapshot()
	for g := range history.Group(groups + calm) {
		called := r.history.Now()
		saw, err := look(fresh, g)
		require.NoError(r.t, err)
		r.history.Acknowledged(len(r.replicas)*(writers+swappers), called, history.Read(g, saw))
	}
	result, took := r.linearizable()
	r.report(name, found, result, took)

	truth, err := r.truth(r.ctx)
	require.NoError(r.t, err)
	assert.True(r.t, maps.Equal(truth, found), "the fresh replica differs from the cluster")
	assert.Empty(r.t, missing(r.ledger.owed(), found), "acknowledged writes are lost")
	assert.Empty(r.t, r.ledger.impossible(found), "writes were refused and took effect")
	assert.Empty(r.t, r.history.RefusedAndSeen(), "calls were refused and took effect")
	assert.NotZero(r.t, r.ended(), "no lease has ended an entry")
	assert.NoError(r.t, audit(entries(found)))
	assert.NoError(r.t, counterError(entries(found), r.increments.Load(), r.maybeIncrements.Load()))
	assert.Empty(r.t, r.findings.list())
	assert.Equal(r.t, porcupine.Ok, result)
}

// linearizable has porcupine check the history. The page with a history that is not linearizable
// is kept by go test's flag -artifacts.
func (r *run) linearizable() (porcupine.CheckResult, time.Duration) {
	begun := time.Now()
	result := r.history.Check(5 * limit)
	if result == porcupine.Illegal {
		path := filepath.Join(r.t.ArtifactDir(), "history.html")
		require.NoError(r.t, r.history.Draw(path, limit))
	}
	return result, time.Since(begun)
}

// ended returns how many entries of calm groups were seen to end. A mirror may miss some.
func (r *run) ended() (n int) {
	for _, one := range r.replicas {
		n = max(n, one.mirror.ended())
	}
	return n
}

func (r *run) report(name string, found map[string]string, result porcupine.CheckResult, took time.Duration) {
	reads, restarts := uint64(0), uint64(0)
	for _, one := range r.replicas {
		stats := one.store.Stats()
		reads, restarts = reads+stats.Reads, restarts+stats.Restarts
	}
	total := r.total()
	r.t.Logf("%s: %.0f s, %d cycles: %v; longest time without an acknowledged write %.1f s; "+
		"of %d unknown writes of keys of their own %d took effect; %d writes with a time to live, %d entries of calm groups ended, %d of them before the workers stopped; full reads %d, restarts of a watch %d; "+
		"a replica restarted %d times, and reached the cluster %d times; %d entries; "+
		"porcupine: %s for %d calls in %.1f s",
		name, time.Since(r.begun).Seconds(), r.cycles, total, r.longest.Seconds(),
		len(r.ledger.unknown), r.ledger.landed(found), total.timed.Load(), r.ended(), r.endedMeanwhile, reads, restarts,
		r.restarts, r.inspected, len(found),
		result, r.history.Len(), took.Seconds())
}

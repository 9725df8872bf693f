package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie/etcd"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/cluster"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/proxy"
)

func TestMain(m *testing.M) {
	cluster.ServeIfMember()
	goleak.VerifyTestMain(m)
}

// A fault is one cycle: it injects a fault, waits for what follows, and mends it.
type fault struct {
	name  string
	long  bool  // it is much like another, and left to TestLong
	quota int64 // of each member in TestLong
	cycle func(*run) error
}

// smallQuota is the size of a database that the values of fill soon reach, and the workers do not.
const smallQuota = 12 << 20

var allFaults = []fault{
	{"no fault", false, cluster.DefaultQuota, nothing},
	{"leader killed", false, cluster.DefaultQuota, ofLeader(kill)},
	{"leader stopped", false, cluster.DefaultQuota, ofLeader(pause)},
	{"follower killed", true, cluster.DefaultQuota, ofFollower(kill)},
	{"follower stopped", true, cluster.DefaultQuota, ofFollower(pause)},
	{"two members killed", true, cluster.DefaultQuota, majorityKilled},
	{"all members killed", false, cluster.DefaultQuota, allKilled},
	{"disk of the leader full", false, cluster.DefaultQuota, ofLeader(fillDisk)},
	{"replica cut off", false, cluster.DefaultQuota, cutOff},
	{"answers lost", false, cluster.DefaultQuota, answersLost},
	{"replica delayed", false, cluster.DefaultQuota, delayed},
	{"replica reset", false, cluster.DefaultQuota, reset},
	{"compaction while cut off", false, cluster.DefaultQuota, compactedWhileCutOff},
	{"leader killed while cut off", true, cluster.DefaultQuota, leaderKilledWhileCutOff},
	{"leader parted", false, cluster.DefaultQuota, ofLeader(part)},
	{"leader mute", true, cluster.DefaultQuota, ofLeader(mute)},
	{"leader deaf", true, cluster.DefaultQuota, ofLeader(deafen)},
	{"follower parted", true, cluster.DefaultQuota, ofFollower(part)},
	{"follower mute", true, cluster.DefaultQuota, ofFollower(mute)},
	{"follower deaf to the leader", true, cluster.DefaultQuota, ofFollower(silenceLeader)},
	{"replica beside a parted leader", true, cluster.DefaultQuota, besideAPartedLeader},
	{"all members parted", true, cluster.DefaultQuota, eachAlone},
	{"quota exceeded", false, smallQuota, quotaExceeded},
}

func nothing(r *run) error { return r.progress(r.some) }

// mend brings back all members and waits until all replicas write again.
func mend(r *run) error {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	if err := r.cluster.Heal(ctx); err != nil {
		return err
	}
	return r.allReplicasWrite()
}

// allReplicasWrite waits until each replica was acknowledged writes again.
func (r *run) allReplicasWrite() error {
	var from [3]int64
	for i, one := range r.replicas {
		from[i] = one.counts.acknowledged.Load()
	}
	return r.await("writes of each replica", func() bool {
		for i, one := range r.replicas {
			if one.counts.acknowledged.Load() < from[i]+r.some/2 {
				return false
			}
		}
		return true
	})
}

// A harm is done to one member.
type harm func(*run, *cluster.Member) error

func ofLeader(do harm) func(*run) error {
	return func(r *run) error { return r.harm((*cluster.Cluster).Leader, do) }
}

func ofFollower(do harm) func(*run) error {
	return func(r *run) error { return r.harm((*cluster.Cluster).Follower, do) }
}

// harm harms a member, waits until the others work without it, and mends it.
func (r *run) harm(choose func(*cluster.Cluster, context.Context) (*cluster.Member, error), do harm) error {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	victim, err := choose(r.cluster, ctx)
	if err != nil {
		return err
	}
	if err := do(r, victim); err != nil {
		return err
	}
	if err := r.progress(r.some); err != nil {
		return err
	}
	return mend(r)
}

func kill(_ *run, m *cluster.Member) error { return m.Kill() }

// pause stops a member until calls that were sent to it have failed.
func pause(r *run, m *cluster.Member) error {
	from := r.total().failed()
	if err := m.Pause(); err != nil {
		return err
	}
	return r.await("failures", func() bool { return r.total().failed() >= from+writers })
}

// fillDisk fills the disk of a member, which then ends by itself.
func fillDisk(r *run, m *cluster.Member) error {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	if err := m.FillDisk(); err != nil {
		return err
	}
	return m.Ended(ctx)
}

func majorityKilled(r *run) error { return r.killed(2) }

func allKilled(r *run) error { return r.killed(cluster.Size) }

// killed kills n members at once, waits until calls of each replica have failed, and mends.
func (r *run) killed(n int) error {
	for _, m := range r.cluster.Members[:n] {
		if err := m.Kill(); err != nil {
			return err
		}
	}
	return r.failAndMend()
}

// failAndMend waits until calls of each replica have failed, and mends.
func (r *run) failAndMend() error {
	for _, one := range r.replicas {
		if err := r.failures(one); err != nil {
			return err
		}
	}
	return mend(r)
}

// failures waits until as many calls of a replica have failed as it has writers.
func (r *run) failures(one *replica) error {
	from := one.counts.failed()
	return r.await("failures", func() bool { return one.counts.failed() >= from+writers })
}

// victim returns the replica whose network is at fault in this cycle.
func (r *run) victim() *replica { return r.replicas[r.cycles%len(r.replicas)] }

// cut cuts off a replica until its calls fail while the others write, and does what is to happen
// meanwhile.
func (r *run) cut(how func(*proxy.Proxy), meanwhile func() error) error {
	one := r.victim()
	one.all(how)
	err := errors.Join(r.progress(r.some, one), r.failures(one), meanwhile(), r.progress(r.some, one))
	one.all((*proxy.Proxy).Pass)
	return errors.Join(err, mend(r))
}

func cutOff(r *run) error {
	return r.cut((*proxy.Proxy).BlackHole, func() error { return nil })
}

// answersLost has the writes of a replica take effect while the replica does not learn of it.
func answersLost(r *run) error {
	return r.cut((*proxy.Proxy).Deafen, func() error { return nil })
}

func leaderKilledWhileCutOff(r *run) error {
	return r.cut((*proxy.Proxy).BlackHole, func() error {
		ctx, cancel := context.WithTimeout(r.ctx, limit)
		defer cancel()
		leader, err := r.cluster.Leader(ctx)
		if err != nil {
			return err
		}
		return leader.Kill()
	})
}

// delayed slows down the network of a replica, but not that of the last: with its small backlog it
// could not keep up with the others.
func delayed(r *run) error {
	one := r.replicas[r.cycles%2]
	one.all(func(p *proxy.Proxy) { p.Delay(20 * time.Millisecond) })
	err := r.allReplicasWrite()
	one.all(func(p *proxy.Proxy) { p.Delay(150 * time.Millisecond) })
	err = errors.Join(err, r.allReplicasWrite())
	one.all((*proxy.Proxy).Pass)
	return errors.Join(err, mend(r))
}

// reset resets the connections of a replica while all write, and then refuses connections for a
// while.
func reset(r *run) error {
	one := r.victim()
	for range 3 {
		one.all((*proxy.Proxy).Reset)
		one.all((*proxy.Proxy).Pass)
		if err := r.allReplicasWrite(); err != nil {
			return err
		}
	}
	one.all((*proxy.Proxy).Reset)
	err := errors.Join(r.failures(one), r.progress(r.some, one))
	one.all((*proxy.Proxy).Pass)
	return errors.Join(err, mend(r))
}

// compactedWhileCutOff compacts the history that a replica misses, so that the replica has to
// read everything.
func compactedWhileCutOff(r *run) error {
	one := r.victim()
	reads := one.store.Stats().Reads
	err := r.cut((*proxy.Proxy).BlackHole, func() error {
		// A connection that outlives the cut has the events of the time on their way.
		one.all((*proxy.Proxy).Reset)
		return errors.Join(r.progress(r.some, one), r.compact(), r.progress(r.some, one))
	})
	return errors.Join(err, r.await("a read of everything", func() bool { return one.store.Stats().Reads > reads }))
}

// compact forgets all revisions before the newest.
func (r *run) compact() error {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	head, err := r.cluster.Client().Get(ctx, "none")
	if err != nil {
		return err
	}
	_, err = r.cluster.Client().Compact(ctx, head.Header.Revision, clientv3.WithCompactPhysical())
	if errors.Is(err, rpctypes.ErrCompacted) {
		return nil // by a try before whose answer was lost
	}
	return err
}

// quotaExceeded fills the cluster until it refuses writes, sees that deletes and Syncs go on, and
// makes space as an operator would.
func quotaExceeded(r *run) error {
	if err := r.fill(); err != nil {
		return err
	}
	store := r.victim().store
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	if err := errors.Join(store.Delete(ctx, "big"), store.Sync(ctx)); err != nil {
		return fmt.Errorf("with the quota exceeded: %w", err)
	}
	if _, ok := store.Get("big"); ok {
		return errors.New("with the quota exceeded: a deleted key is there")
	}
	return errors.Join(r.compact(), r.makeSpace(ctx), mend(r))
}

// fill writes large values until the cluster has no space.
func (r *run) fill() error {
	value := string(make([]byte, 1<<20))
	return r.await("quota exceeded", func() bool {
		ctx, cancel := context.WithTimeout(r.ctx, r.patience)
		defer cancel()
		return errors.Is(r.victim().store.Set(ctx, "big", value), etcd.ErrQuota)
	})
}

// makeSpace gives the free pages of each member back to its disk, and ends the alarm.
func (r *run) makeSpace(ctx context.Context) error {
	client := r.cluster.Client()
	for _, endpoint := range r.cluster.Endpoints() {
		if _, err := client.Defragment(ctx, endpoint); err != nil {
			return err
		}
	}
	_, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	return err
}

func TestEveryFaultOnce(t *testing.T) {
	r := newRun(t, smallQuota)
	r.work(0, func(r *run) error {
		for _, f := range allFaults {
			if f.long {
				continue
			}
			begun := time.Now()
			err := f.cycle(r)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Logf("%s: %v", f.name, err)
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			t.Logf("%s: %.1f s", f.name, time.Since(begun).Seconds())
		}
		return nil
	})
	r.check("every fault once")
}

// The checks find what they look for, also in a run: without the Sync before a read, reads are
// stale. A replica of other keys, a mirror with another entry, and a write that is taken away
// behind the back of the workers are found.
func TestBrokenPromisesAreFound(t *testing.T) {
	r := newRun(t, cluster.DefaultQuota)
	r.sync = func(context.Context, *etcd.Store) error { return nil }
	r.work(0, cutOff)
	result, _ := r.linearizable()
	require.Equal(t, porcupine.Illegal, result)

	require.Empty(t, r.differences(t.Context()))
	r.replicas[1].mirror.entries["planted"] = ""
	r.replicas[2].store = openStoreOf(t, t.Context(), "other/", r.cluster.Endpoints())
	require.Equal(t, []string{"mirror 1", "replica 2"}, r.differences(t.Context()))

	owed := r.ledger.owed()
	fresh := openStore(t, t.Context(), r.cluster.Endpoints())
	require.Empty(t, missing(owed, fresh.Snapshot()))
	for lost := range owed {
		_, err := r.cluster.Client().Delete(t.Context(), prefix+lost)
		require.NoError(t, err)
		break
	}
	require.NoError(t, fresh.Sync(t.Context()))
	require.Len(t, missing(owed, fresh.Snapshot()), 1)
}

// The history finds entries that end before their time, also in a run: here all leases are revoked as
// soon as they are found.
func TestEarlyEndsAreFound(t *testing.T) {
	r := newRun(t, cluster.DefaultQuota)
	r.work(0, func(r *run) error {
		err := r.await("ends", func() bool { return r.revokeAll() == nil && r.ended() > 1 })
		return errors.Join(err, r.progress(10*r.some)) // and reads beside them
	})
	result, _ := r.linearizable()
	require.Equal(t, porcupine.Illegal, result)
}

func (r *run) revokeAll() error {
	all, err := r.cluster.Client().Leases(r.ctx)
	if err != nil {
		return err
	}
	for _, lease := range all.Leases {
		r.cluster.Client().Revoke(r.ctx, lease.ID) // an error is that the lease has just ended
	}
	return nil
}

// cycleWithEnds is a cycle. After each third of them, it waits until a lease has ended an entry: where
// the leader changes all the time, leases begin anew all the time.
func (f fault) cycleWithEnds(r *run) error {
	if err := f.cycle(r); err != nil || r.cycles%3 != 0 {
		return err
	}
	from := r.ended()
	return r.await("the end of an entry", func() bool { return r.ended() > from })
}

func TestLong(t *testing.T) {
	if os.Getenv("GENIE_LONG") == "" {
		t.Skip("GENIE_LONG is not set")
	}
	length := 30 * time.Second
	if text := os.Getenv(lengthVariable); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	for _, f := range allFaults {
		t.Run(f.name, func(t *testing.T) {
			r := newRun(t, f.quota)
			r.patience, r.some, r.ttls = 3*time.Second, 200, 3
			r.work(length, f.cycleWithEnds) // a fault that the system does not have is a finding
			r.check(f.name)
		})
	}
}

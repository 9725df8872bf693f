package cluster

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	ServeIfMember()
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for a condition before it fails.
const patience = 30 * time.Second

func start(t *testing.T, quota int64) (context.Context, *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	c, err := Start(ctx, t.TempDir(), quota)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return ctx, c
}

// supported skips the test on a system that does not have the fault.
func supported(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
}

// put writes until a write is acknowledged.
func put(t *testing.T, ctx context.Context, c *Cluster, value string) {
	t.Helper()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := c.Client().Put(ctx, "k", value)
		return err == nil
	}, patience, time.Millisecond)
}

func get(t *testing.T, ctx context.Context, c *Cluster) string {
	t.Helper()
	found, err := c.Client().Get(ctx, "k")
	require.NoError(t, err)
	require.Len(t, found.Kvs, 1)
	return string(found.Kvs[0].Value)
}

func TestKilledLeaderIsReplacedAndKeepsItsData(t *testing.T) {
	ctx, c := start(t, DefaultQuota)
	put(t, ctx, c, "1")
	old, err := c.Leader(ctx)
	require.NoError(t, err)
	require.NoError(t, old.Kill())
	require.False(t, old.running())
	put(t, ctx, c, "2")
	leader, err := c.Leader(ctx)
	require.NoError(t, err)
	require.NotSame(t, old, leader)

	require.NoError(t, c.Heal(ctx))
	for _, m := range c.Members {
		if m != old {
			require.NoError(t, m.Kill())
		}
	}
	require.NoError(t, c.Heal(ctx))
	require.Equal(t, "2", get(t, ctx, c))
}

func TestStoppedLeaderIsReplaced(t *testing.T) {
	ctx, c := start(t, DefaultQuota)
	old, err := c.Leader(ctx)
	require.NoError(t, err)
	supported(t, old.Pause())
	put(t, ctx, c, "1")
	leader, err := c.Leader(ctx)
	require.NoError(t, err)
	require.NotSame(t, old, leader)
	require.NoError(t, c.Heal(ctx))
	require.True(t, old.answers())
}

// awaitLeaderOf waits until a member takes another member for the leader, or none if that is nil.
func awaitLeaderOf(t *testing.T, ctx context.Context, c *Cluster, m, want *Member) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, err := c.LeaderOf(ctx, m)
		return err == nil && got == want
	}, patience, time.Millisecond)
}

func leaderAndFollower(t *testing.T, ctx context.Context, c *Cluster) (leader, follower *Member) {
	t.Helper()
	leader, err := c.Leader(ctx)
	require.NoError(t, err)
	follower, err = c.Follower(ctx)
	require.NoError(t, err)
	awaitLeaderOf(t, ctx, c, follower, leader)
	return leader, follower
}

// putAt writes by one member alone.
func putAt(t *testing.T, ctx context.Context, m *Member, within time.Duration) error {
	t.Helper()
	client, err := NewClient([]string{m.Endpoint()})
	require.NoError(t, err)
	defer client.Close() // its error is that the client was closed
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err = client.Put(ctx, "k", "alone")
	return err
}

func TestPartedLeaderIsReplaced(t *testing.T) {
	ctx, c := start(t, DefaultQuota)
	old, _ := leaderAndFollower(t, ctx, c)
	require.NoError(t, putAt(t, ctx, old, patience), "without a cut")
	c.Part(old)
	require.Error(t, putAt(t, ctx, old, time.Second))
	awaitLeaderOf(t, ctx, c, old, nil)
	put(t, ctx, c, "1")
	leader, err := c.Leader(ctx)
	require.NoError(t, err)
	require.NotSame(t, old, leader)
	require.True(t, old.answers())

	require.NoError(t, c.Heal(ctx))
	awaitLeaderOf(t, ctx, c, old, leader)
	require.NoError(t, putAt(t, ctx, old, patience))
}

// No message goes around the gateways: with all links cut, no member has a leader.
func TestMembersThatAreAllPartedHaveNoLeader(t *testing.T) {
	ctx, c := start(t, DefaultQuota)
	for _, m := range c.Members {
		c.Part(m)
	}
	for _, m := range c.Members {
		awaitLeaderOf(t, ctx, c, m, nil)
	}
	require.NoError(t, c.Heal(ctx))
	put(t, ctx, c, "1")
}

// A cut in one direction leaves the other: a follower that the leader does not hear goes on
// following, and a follower that does not hear the leader stops.
func TestSilenceHasADirection(t *testing.T) {
	ctx, c := start(t, DefaultQuota)
	leader, follower := leaderAndFollower(t, ctx, c)
	c.Silence(follower, leader)
	require.Never(t, func() bool {
		of, err := c.LeaderOf(ctx, follower)
		return err != nil || of != leader
	}, 4*electionTimeout, tick)
	require.NoError(t, c.Heal(ctx))

	leader, follower = leaderAndFollower(t, ctx, c)
	c.Silence(leader, follower)
	awaitLeaderOf(t, ctx, c, follower, nil)
	require.NoError(t, putAt(t, ctx, leader, patience))
	of, err := c.LeaderOf(ctx, leader)
	require.NoError(t, err)
	require.Same(t, leader, of)
}

func TestMemberWithAFullDiskEnds(t *testing.T) {
	ctx, c := start(t, DefaultQuota)
	victim, err := c.Leader(ctx)
	require.NoError(t, err)
	put(t, ctx, c, "1")
	require.True(t, victim.running(), "ended with space on its disk")
	supported(t, victim.FillDisk())
	put(t, ctx, c, "2")
	require.NoError(t, victim.Ended(ctx))
	log, err := victim.Log()
	require.NoError(t, err)
	require.Contains(t, log, "file too large")
	require.NoError(t, c.Heal(ctx))
	put(t, ctx, c, "3")
	require.Equal(t, "3", get(t, ctx, c))
}

func TestQuotaIsAsked(t *testing.T) {
	ctx, c := start(t, 4<<20)
	var err error
	for range 100 {
		if _, err = c.Client().Put(ctx, "k", string(make([]byte, 256<<10))); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, rpctypes.ErrNoSpace)
}

// A member that cannot start is reported with its log.
func TestMemberThatFailsIsReported(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(folder+"/m1", []byte("no folder"), 0o600))
	_, err := Start(t.Context(), folder, DefaultQuota)
	require.ErrorContains(t, err, "member m1 has ended")
	require.ErrorContains(t, err, "not a directory")
}

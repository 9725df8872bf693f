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

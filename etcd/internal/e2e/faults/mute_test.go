package faults

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/etcd"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/cluster"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/proxy"
)

// Two of three members work and reach each other, and clients reach all three. The messages of the
// third to the other two vanish, and its connections to clients are sound, so keep-alives find
// nothing. A bare client with the same endpoints has two of three Puts acknowledged meanwhile. The
// replica should write and Sync from time to time, too, and should go on following.
func TestReplicaWorksBesideAMuteMember(t *testing.T) {
	if os.Getenv("GENIE_LONG") == "" {
		t.Skip("GENIE_LONG is not set")
	}
	for name, choose := range map[string]func(*cluster.Cluster, context.Context) (*cluster.Member, error){
		"leader":   (*cluster.Cluster).Leader,
		"follower": (*cluster.Cluster).Follower,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
			defer cancel()
			c, err := cluster.Start(ctx, t.TempDir(), cluster.DefaultQuota)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, c.Close()) })
			mute, err := choose(c, ctx)
			require.NoError(t, err)
			store := openAt(t, ctx, c, mute)
			var sound []string
			for _, m := range c.Members {
				if m != mute {
					c.Silence(mute, m)
					sound = append(sound, m.Endpoint())
				}
			}
			begun, bare, other := time.Now(), newClient(t, c.Endpoints()), newClient(t, sound)
			var puts, sets, syncs, moves, tries int
			for last := int64(0); time.Since(begun) < 40*time.Second; time.Sleep(200 * time.Millisecond) {
				other.Put(ctx, prefix+"other", time.Now().String())
				if time.Since(begun) < 20*time.Second {
					last = store.Revision()
					continue // the time in which a replica may find out
				}
				tries++
				put, end := context.WithTimeout(ctx, attempt)
				_, err := bare.Put(put, "elsewhere", "")
				end()
				puts += one(err)
				sets += one(store.Set(ctx, "key", "value"))
				syncs += one(store.Sync(ctx))
				if now := store.Revision(); now > last {
					moves, last = moves+1, now
				}
			}
			stats := store.Stats()
			t.Logf("of %d tries: %d Puts of a bare client, %d Sets, %d Syncs, %d moves of the replica, which is at %d of %d; following: %t, %v",
				tries, puts, sets, syncs, moves, stats.Revision, stats.Head, stats.Following, stats.LastError)
			require.NotZero(t, puts)
			assert.NotZero(t, sets, "Sets")
			assert.NotZero(t, syncs, "Syncs")
			assert.NotZero(t, moves, "moves of the replica")
		})
	}
}

func one(err error) int {
	if err == nil {
		return 1
	}
	return 0
}

// openAt opens a replica whose watch is at a member, and which then has connections to all members.
func openAt(t *testing.T, ctx context.Context, c *cluster.Cluster, m *cluster.Member) *etcd.Store {
	t.Helper()
	var network []*proxy.Proxy
	var endpoints []string
	for _, other := range c.Members {
		p, err := proxy.New(other.Endpoint())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		if other != m {
			p.Reset()
		}
		network, endpoints = append(network, p), append(endpoints, p.Addr())
	}
	store := openStore(t, ctx, endpoints)
	for _, p := range network {
		p.Pass()
	}
	for range 10 { // the client tries again once a second at least
		time.Sleep(300 * time.Millisecond)
		require.NoError(t, store.Sync(ctx))
	}
	return store
}

package faults

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie/etcd"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/cluster"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/proxy"
)

// prefix is the prefix of the keyspace in the cluster.
const prefix = "faults/"

// A replica is a Store with workers, on a network of its own: it reaches each member through a
// proxy.
type replica struct {
	number  int
	network [cluster.Size]*proxy.Proxy
	store   *etcd.Store
	mirror  *mirror
	counts  counts
}

// attempt is how long a replica waits for one answer of the cluster.
const attempt = time.Second

// openReplica opens a replica behind proxies, which ends with the test.
func openReplica(t *testing.T, ctx context.Context, number int, c *cluster.Cluster) *replica {
	t.Helper()
	r := &replica{number: number, mirror: newMirror()}
	var endpoints []string
	for i, m := range c.Members {
		p, err := proxy.New(m.Endpoint())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		r.network[i] = p
		endpoints = append(endpoints, p.Addr())
	}
	if number == 2 {
		r.store = openStoreOf(t, ctx, prefix, endpoints, etcd.WithBacklog(smallBacklog))
	} else {
		r.store = openStore(t, ctx, endpoints)
	}
	return r
}

// smallBacklog has the last replica often begin its watch anew, which the others never need.
const smallBacklog = 16 << 10

func openStore(t *testing.T, ctx context.Context, endpoints []string) *etcd.Store {
	t.Helper()
	return openStoreOf(t, ctx, prefix, endpoints)
}

func openStoreOf(t *testing.T, ctx context.Context, prefix string, endpoints []string, opts ...etcd.Option) *etcd.Store {
	t.Helper()
	store, err := etcd.Open(ctx, newClient(t, endpoints), prefix, append(opts, etcd.WithTimeout(attempt))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func newClient(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	client, err := cluster.NewClient(endpoints)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() }) // its error is that the client was closed
	return client
}

// all applies a fault, or its end, to the whole network of the replica.
func (r *replica) all(fault func(*proxy.Proxy)) {
	for _, p := range r.network {
		fault(p)
	}
}

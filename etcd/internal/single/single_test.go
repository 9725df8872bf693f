// Package single tests the module etcd against one server of etcd in the process, behind a proxy
// that breaks connections and keeps them silent.
//
//	single_test.go    servers, clients, stores
//	proxy_test.go     the proxy
//	store_test.go     the calls
//	update_test.go    conflicts, lost answers, late requests
//	cut_test.go       without the cluster, and back
//	history_test.go   views beside etcd's own history
//	auth_test.go      users, tokens, TLS
//	bench_test.go     rates, beside genie and beside bare etcd
package single

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/windevkay/forge/genie/etcd"
)

// The servers leave goroutines for a moment after their end, so each test waits for goroutines
// only after its stores were closed: see leakless.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const prefix = "app/"

// A cluster is one server behind a proxy. The server can be stopped and started again, with its
// data or with other data; the address of the proxy stays.
type cluster struct {
	t      testing.TB
	folder string
	proxy  *proxy
	server *embed.Etcd // nil while it is stopped
	direct *clientv3.Client
	token  string // goes into the ID of a cluster that has no data yet
	secure bool   // clients use TLS
	change []func(*embed.Config)
}

func newCluster(t testing.TB, change ...func(*embed.Config)) *cluster {
	t.Helper()
	c := &cluster{t: t, folder: filepath.Join(t.TempDir(), "data"), change: change}
	c.proxy = newProxy(t, "")
	t.Cleanup(c.stop)
	c.start()
	return c
}

// start starts a server with the data that is there.
func (c *cluster) start() {
	c.t.Helper()
	config := embed.NewConfig()
	config.Dir = c.folder
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	config.UnsafeNoFsync = os.Getenv("GENIE_FSYNC") == "" // the disk's durability is not ours to test
	config.BcryptCost = 4                                 // the least
	local := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.AdvertiseClientUrls = local, local
	config.ListenPeerUrls, config.AdvertisePeerUrls = local, local
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.InitialClusterToken += c.token
	for _, f := range c.change {
		f(config)
	}
	server, err := embed.StartEtcd(config)
	require.NoError(c.t, err)
	<-server.Server.ReadyNotify()
	c.server = server
	c.direct = dial(c.t, c.address(), c.credentials()...)
	c.proxy.admit(c.address())
}

// address returns the address of the server itself.
func (c *cluster) address() string { return c.server.Clients[0].Addr().String() }

// stop stops the server. Its connections break.
func (c *cluster) stop() {
	c.proxy.refuse()
	if c.server == nil {
		return
	}
	c.direct.Close()
	c.server.Close()
	c.server = nil
}

// keep returns a copy of the data of a server that is stopped.
func (c *cluster) keep() string {
	folder := filepath.Join(c.t.TempDir(), "kept")
	require.NoError(c.t, os.CopyFS(folder, os.DirFS(c.folder)))
	return folder
}

// compact has the cluster forget all history before now.
func (c *cluster) compact(ctx context.Context) {
	now, err := c.direct.Get(ctx, "anything")
	require.NoError(c.t, err)
	_, err = c.direct.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
	require.NoError(c.t, err)
}

func (c *cluster) put(key, value string) int64 {
	c.t.Helper()
	answer, err := c.direct.Put(c.t.Context(), prefix+key, value)
	require.NoError(c.t, err)
	return answer.Header.Revision
}

// contents returns the keys of the prefix that a user has, as etcd has them.
func (c *cluster) contents() map[string]string {
	c.t.Helper()
	answer, err := c.direct.Get(c.t.Context(), prefix, clientv3.WithPrefix())
	require.NoError(c.t, err)
	m := make(map[string]string)
	for _, kv := range answer.Kvs {
		if key := string(kv.Key[len(prefix):]); key != "" {
			m[key] = string(kv.Value)
		}
	}
	return m
}

// client returns a client that goes through the proxy.
func (c *cluster) client() *clientv3.Client { return dial(c.t, c.proxy.address(), c.credentials()...) }

// open returns a Store that goes through the proxy.
func (c *cluster) open(opts ...etcd.Option) *etcd.Store {
	c.t.Helper()
	s, err := c.tryOpen(c.t.Context(), opts...)
	require.NoError(c.t, err)
	return s
}

func (c *cluster) tryOpen(ctx context.Context, opts ...etcd.Option) (*etcd.Store, error) {
	s, err := etcd.Open(ctx, c.client(), prefix, append([]etcd.Option{etcd.WithTimeout(time.Second)}, opts...)...)
	if err == nil {
		c.t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func dial(t testing.TB, address string, opts ...grpc.DialOption) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{
		Endpoints:            []string{address},
		Logger:               zap.NewNop(),
		DialKeepAliveTime:    time.Second,
		DialKeepAliveTimeout: time.Second,
		DialOptions:          append(opts, quick),
	})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// eventually waits for a condition, and fails the test if it does not come.
func eventually(t testing.TB, condition func() bool, hint string) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 5*time.Millisecond, hint)
}

// follows waits until the replica has what the cluster has.
func (c *cluster) follows(s *etcd.Store) {
	c.t.Helper()
	eventually(c.t, func() bool { return s.Sync(c.t.Context()) == nil }, "the replica comes back")
	require.Equal(c.t, c.contents(), s.Snapshot())
}

// errorsOf returns what a Store has reported so far.
func errorsOf(s *etcd.Store) (found []error) {
	for {
		select {
		case err, ok := <-s.Errors():
			if !ok {
				return found
			}
			found = append(found, err)
		default:
			return found
		}
	}
}

// inParallel calls f on so many goroutines, and returns their errors, joined.
func inParallel(n int, f func(i int) error) error {
	var group sync.WaitGroup
	failures := make([]error, n)
	for i := range n {
		group.Go(func() { failures[i] = f(i) })
	}
	group.Wait()
	return errors.Join(failures...)
}

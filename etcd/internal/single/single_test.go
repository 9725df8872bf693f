// Package single tests the module etcd against one server of etcd in the process.
package single

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/windevkay/forge/genie/etcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server starts a server in folder, which ends with the test.
func server(t testing.TB, folder string, change ...func(*embed.Config)) *embed.Etcd {
	t.Helper()
	c := embed.NewConfig()
	c.Dir = folder
	c.Logger, c.LogLevel = "zap", "error"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	local := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	c.ListenClientUrls, c.ListenPeerUrls = []url.URL{local}, []url.URL{local}
	c.AdvertiseClientUrls, c.AdvertisePeerUrls = c.ListenClientUrls, c.ListenPeerUrls
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	for _, f := range change {
		f(c)
	}
	e, err := embed.StartEtcd(c)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()
	return e
}

func endpoint(e *embed.Etcd) string { return e.Clients[0].Addr().String() }

func client(t testing.TB, endpoint string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{
		Endpoints:            []string{endpoint},
		Logger:               zap.NewNop(),
		DialKeepAliveTime:    time.Second,
		DialKeepAliveTimeout: time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func open(t testing.TB, c *clientv3.Client, prefix string, opts ...etcd.Option) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), c, prefix, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSetGet(t *testing.T) {
	ctx := t.Context()
	e := server(t, t.TempDir())
	a, b := open(t, client(t, endpoint(e)), "app/"), open(t, client(t, endpoint(e)), "app/")
	for range 5 {
		start := time.Now()
		require.NoError(t, a.Set(ctx, "k", "v"))
		t.Log("set", time.Since(start))
	}
	v, ok := a.Get("k")
	require.True(t, ok)
	require.Equal(t, "v", v)
	for range 5 {
		start := time.Now()
		require.NoError(t, b.Sync(ctx))
		t.Log("sync", time.Since(start))
	}
	v, ok = b.Get("k")
	require.True(t, ok)
	require.Equal(t, "v", v)
	require.NoError(t, b.Update(ctx, func(tx *etcd.Tx) error {
		v, _ := tx.Get("k")
		tx.Set("k", v+v)
		return nil
	}))
	require.NoError(t, a.Sync(ctx))
	require.Equal(t, map[string]string{"k": "vv"}, a.Snapshot())
	require.NoError(t, a.Delete(ctx, "k"))
	require.NoError(t, a.Delete(ctx, "k"))
	require.Zero(t, a.Len())
	t.Logf("%+v", a.Stats())
	_ = context.Background
}

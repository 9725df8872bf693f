package single

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/windevkay/forge/genie/etcd"
)

// withTLS has the server speak TLS, with a certificate that it makes.
func withTLS(config *embed.Config) {
	config.ListenClientUrls = []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ClientAutoTLS = true
}

// newSecureCluster returns a cluster whose clients verify the certificate of the server.
func newSecureCluster(t *testing.T, change ...func(*embed.Config)) *cluster {
	c := &cluster{t: t, folder: filepath.Join(t.TempDir(), "data"), secure: true, change: append(change, withTLS)}
	c.proxy = newProxy(t, "")
	t.Cleanup(c.stop)
	c.start()
	return c
}

// credentials returns what a client needs to speak TLS with the server, if it does.
func (c *cluster) credentials() []grpc.DialOption {
	if !c.secure {
		return nil
	}
	certificate, err := os.ReadFile(filepath.Join(c.folder, "fixtures", "client", "cert.pem"))
	require.NoError(c.t, err)
	roots := x509.NewCertPool()
	require.True(c.t, roots.AppendCertsFromPEM(certificate))
	return []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}))}
}

// user turns authentication on, and returns a client, through the proxy, of a user that has a
// permission for the prefix, and no other.
func (c *cluster) user(permission clientv3.PermissionType) *clientv3.Client {
	c.t.Helper()
	ctx, admin := c.t.Context(), c.direct
	for _, step := range []func() error{
		func() error { _, err := admin.UserAdd(ctx, "root", "secret"); return err },
		func() error { _, err := admin.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := admin.UserAdd(ctx, "user", "secret"); return err },
		func() error { _, err := admin.RoleAdd(ctx, "role"); return err },
		func() error {
			_, err := admin.RoleGrantPermission(ctx, "role", prefix, clientv3.GetPrefixRangeEnd(prefix), permission)
			return err
		},
		func() error { _, err := admin.UserGrantRole(ctx, "user", "role"); return err },
		func() error { _, err := admin.AuthEnable(ctx); return err },
	} {
		require.NoError(c.t, step())
	}
	c.direct = c.dialAs("root", c.address())
	c.t.Cleanup(func() { admin.Close() })
	return c.dialAs("user", c.proxy.address())
}

func (c *cluster) dialAs(name, address string) *clientv3.Client {
	c.t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{address}, Logger: zap.NewNop(), Username: name, Password: "secret",
		DialOptions: append(c.credentials(), quick),
	})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { client.Close() })
	return client
}

// waitUntilTokensEnd waits until the server has ended each token that was last used before the call.
// The server ends a token some time after its last use.
func (c *cluster) waitUntilTokensEnd() {
	c.t.Helper()
	last, err := c.direct.Authenticate(c.t.Context(), "user", "secret")
	require.NoError(c.t, err)
	nobody := dial(c.t, c.address(), c.credentials()...)
	defer nobody.Close()
	ctx := metadata.AppendToOutgoingContext(c.t.Context(), rpctypes.TokenFieldNameGRPC, last.Token)
	_, err = nobody.Get(ctx, prefix)
	require.NoError(c.t, err)
	require.Eventually(c.t, func() bool {
		_, err := nobody.Get(ctx, prefix)
		return errors.Is(err, rpctypes.ErrInvalidAuthToken)
	}, 20*time.Second, 2500*time.Millisecond, "the token ends, unless it is used more often than this")
}

// The token of a user ends after a second, again and again, and connections break. No write fails
// for the one, and the replica comes back after the other.
func TestTokensEnd(t *testing.T) {
	for name, start := range map[string]func(*testing.T, ...func(*embed.Config)) *cluster{
		"plain": func(t *testing.T, change ...func(*embed.Config)) *cluster { return newCluster(t, change...) },
		"TLS":   newSecureCluster,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			ctx, c := t.Context(), start(t, func(config *embed.Config) { config.AuthTokenTTL = 1 })
			s, err := etcd.Open(ctx, c.user(clientv3.PermissionType(clientv3.PermReadWrite)), prefix, etcd.WithTimeout(5*time.Second))
			require.NoError(t, err)
			defer s.Close()
			for round := range 2 {
				c.waitUntilTokensEnd()
				value := strconv.Itoa(round)
				require.NoError(t, s.Set(ctx, "set", value))
				require.NoError(t, s.SetWithTTL(ctx, "ends", value, time.Minute))
				require.NoError(t, s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("update", value); return nil }))
				require.NoError(t, s.Sync(ctx))
				assert.Equal(t, map[string]string{"set": value, "ends": value, "update": value}, s.Snapshot())
				c.proxy.breakAll()
				c.follows(s)
			}
			assert.NoError(t, s.Delete(ctx, "set"))
			c.follows(s)
		})
	}
}

// A client that does not trust the server does not open.
func TestAnUnknownCertificate(t *testing.T) {
	c := newSecureCluster(t)
	strange := dial(t, c.proxy.address(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: x509.NewCertPool()})))
	_, err := etcd.Open(t.Context(), strange, prefix, etcd.WithTimeout(time.Second))
	require.ErrorIs(t, err, etcd.ErrUnavailable)
}

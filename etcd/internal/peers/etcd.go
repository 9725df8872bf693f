package main

import (
	"context"
	"net/url"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// An etcdServer is one member of etcd with its defaults: it syncs its log before it acknowledges.
type etcdServer struct {
	embedded *embed.Etcd
	admin    *clientv3.Client // for Forget
}

func startEtcd(folder string) (*etcdServer, error) {
	config := embed.NewConfig()
	config.Dir = folder
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	local := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.AdvertiseClientUrls = local, local
	config.ListenPeerUrls, config.AdvertisePeerUrls = local, local
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	embedded, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	<-embedded.Server.ReadyNotify()
	s := &etcdServer{embedded: embedded}
	if s.admin, err = dialEtcd(s.Address()); err != nil {
		embedded.Close()
		return nil, err
	}
	return s, nil
}

func (s *etcdServer) Address() string { return s.embedded.Clients[0].Addr().String() }

// Forget compacts, as servers do that were told --auto-compaction-retention.
func (s *etcdServer) Forget(ctx context.Context, keyspace string) error {
	now, err := s.admin.Get(ctx, keyspace)
	if err != nil {
		return err
	}
	_, err = s.admin.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
	return err
}

func (s *etcdServer) Close() {
	s.admin.Close()
	s.embedded.Close()
}

// dialEtcd returns a client that dials again after at most a tenth of a second, where gRPC waits
// for two minutes in the end.
func dialEtcd(address string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: []string{address},
		Logger:    zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, MaxDelay: redialAfter},
			MinConnectTimeout: time.Second,
		})},
	})
}

// redialAfter is how long the clients of all systems wait before they dial again.
const redialAfter = 100 * time.Millisecond

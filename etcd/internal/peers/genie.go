package main

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie/etcd"
)

type genieServer struct{ *etcdServer }

func startGenie(folder string) (server, error) {
	s, err := startEtcd(folder)
	if err != nil {
		return nil, err
	}
	return genieServer{s}, nil
}

func (genieServer) Connect(ctx context.Context, address, keyspace string) (replica, error) {
	client, err := dialEtcd(address)
	if err != nil {
		return nil, err
	}
	store, err := etcd.Open(ctx, client, keyspace+"/")
	if err != nil {
		client.Close()
		return nil, err
	}
	return genieReplica{store, client}, nil
}

// A genieReplica is a Store of genie/etcd without a file, like the other replicas.
type genieReplica struct {
	*etcd.Store
	client *clientv3.Client
}

// Shows never gives errGap: the Store reads everything anew by itself.
func (r genieReplica) Shows(ctx context.Context, key, value string) error {
	for view := range r.Watch(ctx) {
		if now, ok := view.Get(key); ok && now == value {
			return nil
		}
	}
	return context.Cause(ctx)
}

func (r genieReplica) Close() error { return errors.Join(r.Store.Close(), r.client.Close()) }

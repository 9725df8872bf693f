package main

import (
	"context"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type bareServer struct {
	*etcdServer
	waits bool // replicas wait for their own events
}

func startBare(waits bool) func(folder string) (server, error) {
	return func(folder string) (server, error) {
		s, err := startEtcd(folder)
		if err != nil {
			return nil, err
		}
		return bareServer{s, waits}, nil
	}
}

// A bareReplica is a mirror beside the bare client of etcd.
type bareReplica struct {
	*mirror
	client *clientv3.Client
	prefix string
	waits  bool
	stop   context.CancelFunc
	parts  sync.WaitGroup
}

func (s bareServer) Connect(ctx context.Context, address, keyspace string) (replica, error) {
	client, err := dialEtcd(address)
	if err != nil {
		return nil, err
	}
	r := &bareReplica{mirror: newMirror(), client: client, prefix: keyspace + "/", waits: s.waits}
	revision, err := r.read(ctx)
	if err != nil {
		client.Close()
		return nil, err
	}
	watching, stop := context.WithCancel(ctx)
	r.stop = stop
	events := client.Watch(watching, r.prefix, clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	r.parts.Go(func() { r.follow(watching, events) })
	return r, nil
}

// read fills the mirror, and returns the revision of which it is.
func (r *bareReplica) read(ctx context.Context) (int64, error) {
	answer, err := r.client.Get(ctx, r.prefix, clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	for _, kv := range answer.Kvs {
		r.apply(uint64(kv.ModRevision), change{key: string(kv.Key[len(r.prefix):]), value: string(kv.Value)})
	}
	return answer.Header.Revision, nil
}

func (r *bareReplica) follow(ctx context.Context, events clientv3.WatchChan) {
	for response := range events {
		if response.Err() != nil {
			break
		}
		for _, e := range response.Events {
			key := string(e.Kv.Key[len(r.prefix):])
			r.apply(uint64(e.Kv.ModRevision), change{key, string(e.Kv.Value), e.Type == clientv3.EventTypeDelete})
		}
	}
	if ctx.Err() == nil {
		close(r.gap)
	}
}

func (r *bareReplica) Set(ctx context.Context, key, value string) error {
	answer, err := r.client.Put(ctx, r.prefix+key, value)
	if err != nil || !r.waits {
		return err
	}
	return r.reach(ctx, uint64(answer.Header.Revision))
}

func (r *bareReplica) Delete(ctx context.Context, key string) error {
	_, err := r.client.Delete(ctx, r.prefix+key)
	return err
}

func (r *bareReplica) Close() error {
	r.stop()
	err := r.client.Close()
	r.parts.Wait()
	return err
}

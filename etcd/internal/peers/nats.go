package main

import (
	"context"
	"errors"
	"sync"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A natsServer is one server of NATS with JetStream and its defaults, but for the sync.
type natsServer struct {
	embedded *natsd.Server
	waits    bool // replicas wait for their own events
}

func startNATS(syncAlways, waits bool) func(folder string) (server, error) {
	return func(folder string) (server, error) {
		embedded, err := natsd.NewServer(&natsd.Options{
			Host: "127.0.0.1", Port: natsd.RANDOM_PORT,
			JetStream: true, StoreDir: folder, SyncAlways: syncAlways,
			NoLog: true, NoSigs: true,
		})
		if err != nil {
			return nil, err
		}
		embedded.Start()
		if !embedded.ReadyForConnections(30 * time.Second) {
			embedded.Shutdown()
			return nil, errors.New("the server of NATS is not ready in time")
		}
		return natsServer{embedded, waits}, nil
	}
}

func (s natsServer) Address() string { return s.embedded.Addr().String() }

func (s natsServer) Close() {
	s.embedded.Shutdown()
	s.embedded.WaitForShutdown()
}

// Forget removes the markers of deleted keys. Nothing else removes them from a bucket with
// the default settings. Programs give the age from which markers go, half an hour unless told;
// here it is any.
func (s natsServer) Forget(ctx context.Context, keyspace string) error {
	connection, bucket, err := openBucket(ctx, s.Address(), keyspace)
	if err != nil {
		return err
	}
	defer connection.Close()
	return bucket.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(-1))
}

func openBucket(ctx context.Context, address, name string) (*nats.Conn, jetstream.KeyValue, error) {
	connection, err := nats.Connect("nats://"+address,
		nats.IgnoreDiscoveredServers(), // or it would go around the proxy
		nats.MaxReconnects(-1), nats.ReconnectWait(redialAfter), nats.ReconnectJitter(0, 0),
		// The errors are of attempts that the client repeats; after a last one, it closes the
		// channel of the watch, which follow takes for a gap. Without a handler, it prints them.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, nil, err
	}
	bucket, err := bucketOf(ctx, connection, name)
	if err != nil {
		connection.Close()
	}
	return connection, bucket, err
}

func bucketOf(ctx context.Context, connection *nats.Conn, name string) (jetstream.KeyValue, error) {
	stream, err := jetstream.New(connection)
	if err != nil {
		return nil, err
	}
	return stream.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name})
}

// A natsReplica is a mirror of a bucket of JetStream, fed by WatchAll.
type natsReplica struct {
	*mirror
	connection *nats.Conn
	bucket     jetstream.KeyValue
	waits      bool
	stop       context.CancelFunc
	parts      sync.WaitGroup
}

func (s natsServer) Connect(ctx context.Context, address, keyspace string) (replica, error) {
	connection, bucket, err := openBucket(ctx, address, keyspace)
	if err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(ctx)
	entries, err := bucket.WatchAll(watching)
	if err != nil {
		stop()
		connection.Close()
		return nil, err
	}
	r := &natsReplica{mirror: newMirror(), connection: connection, bucket: bucket, waits: s.waits, stop: stop}
	for entry := range entries.Updates() {
		if entry == nil {
			break // all that was there has come
		}
		r.accept(entry)
	}
	r.parts.Go(func() { r.follow(watching, entries) })
	return r, nil
}

func (r *natsReplica) follow(ctx context.Context, entries jetstream.KeyWatcher) {
	for entry := range entries.Updates() {
		r.accept(entry)
	}
	if ctx.Err() == nil {
		close(r.gap)
	}
}

func (r *natsReplica) accept(entry jetstream.KeyValueEntry) {
	r.apply(entry.Revision(), change{entry.Key(), string(entry.Value()), entry.Operation() != jetstream.KeyValuePut})
}

func (r *natsReplica) Set(ctx context.Context, key, value string) error {
	revision, err := r.bucket.PutString(ctx, key, value)
	if err != nil || !r.waits {
		return err
	}
	return r.reach(ctx, revision)
}

func (r *natsReplica) Delete(ctx context.Context, key string) error { return r.bucket.Delete(ctx, key) }

func (r *natsReplica) Close() error {
	r.stop()
	r.connection.Close()
	r.parts.Wait()
	return nil
}

package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// withRedis adds Redis where its server is in PATH. If not, it returns a line for the reader of
// the table: the server is no Go program, and so cannot be embedded.
func withRedis(systems []system) (_ []system, missing string) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return systems, "Redis with the client-side caching of rueidis is left out: there is no redis-server in PATH.\n\n"
	}
	return append(systems, system{"Redis, client-side caching, fsync always", acknowledged, startRedis}), ""
}

// A redisServer is a process of redis-server.
type redisServer struct {
	process *exec.Cmd
	address string
}

func startRedis(folder string) (server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := redisServer{
		process: exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", folder,
			"--appendonly", "yes", "--appendfsync", "always", "--save", ""),
		address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
	}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if err := s.awaitReady(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// freePort returns a port that was free a moment ago. Redis cannot choose one itself.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func (s redisServer) awaitReady() error {
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var connection net.Conn
		if connection, err = net.Dial("tcp", s.address); err == nil {
			return connection.Close()
		}
	}
	return fmt.Errorf("redis-server is not ready in time: %w", err)
}

func (s redisServer) Address() string { return s.address }

// Forget does nothing: Redis has no history for clients that were away. A client that has lost
// its connection drops all that it had.
func (redisServer) Forget(context.Context, string) error { return nil }

func (s redisServer) Close() {
	s.process.Process.Kill()
	s.process.Wait()
}

// cachedFor is how long rueidis keeps an entry that is not invalidated sooner.
const cachedFor = time.Hour

// A redisReplica is the cache of rueidis, with the entries that were read.
type redisReplica struct {
	client rueidis.Client
	prefix string

	// invalidated has capacity 1: several invalidations need one look.
	invalidated chan struct{}
}

func (redisServer) Connect(ctx context.Context, address, keyspace string) (replica, error) {
	r := redisReplica{prefix: keyspace + "/", invalidated: make(chan struct{}, 1)}
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{address},
		ForceSingleClient: true,
		OnInvalidations: func([]rueidis.RedisMessage) {
			select {
			case r.invalidated <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return nil, err
	}
	r.client = client
	if err := r.warm(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return r, nil
}

// warm reads all keys once, so that the cache has them.
func (r redisReplica) warm(ctx context.Context) error {
	for cursor := uint64(0); ; {
		page, err := r.client.Do(ctx, r.client.B().Scan().Cursor(cursor).Match(r.prefix+"*").Count(1000).Build()).AsScanEntry()
		if err != nil {
			return err
		}
		if _, err := rueidis.MGetCache(r.client, ctx, cachedFor, page.Elements); err != nil {
			return err
		}
		if cursor = page.Cursor; cursor == 0 {
			return nil
		}
	}
}

// Get asks the server for what is not in the cache. An error of the server is like a key that is not
// there: the measurements then fail.
func (r redisReplica) Get(key string) (string, bool) {
	value, err := r.read(context.Background(), key)
	return value, err == nil
}

func (r redisReplica) read(ctx context.Context, key string) (string, error) {
	return r.client.DoCache(ctx, r.client.B().Get().Key(r.prefix+key).Cache(), cachedFor).ToString()
}

func (r redisReplica) Shows(ctx context.Context, key, value string) error {
	for {
		now, err := r.read(ctx, key)
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		if err == nil && now == value {
			return nil
		}
		select {
		case <-r.invalidated:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r redisReplica) Set(ctx context.Context, key, value string) error {
	return r.client.Do(ctx, r.client.B().Set().Key(r.prefix+key).Value(value).Build()).Error()
}

func (r redisReplica) Delete(ctx context.Context, key string) error {
	return r.client.Do(ctx, r.client.B().Del().Key(r.prefix+key).Build()).Error()
}

func (r redisReplica) Close() error {
	r.client.Close()
	return nil
}

package main

import (
	"context"
	"errors"
)

// A replica is what one process has of a keyspace in memory, with a connection of its own.
type replica interface {
	Get(key string) (string, bool)

	// Set returns when the server has acknowledged the write, and for some systems when Get
	// shows it, too: see system.promise.
	Set(ctx context.Context, key, value string) error
	Delete(ctx context.Context, key string) error

	// Shows returns nil once Get of key returns value, and errGap if the system has told the
	// replica that changes are missing.
	Shows(ctx context.Context, key, value string) error
	Close() error
}

// errGap is given by a replica that was told that it misses changes. A program would read
// everything anew.
var errGap = errors.New("the replica misses changes")

// A server is one embedded server, on loopback TCP, with its data in a folder.
type server interface {
	Address() string

	// Connect returns a replica that has what the keyspace has, by way of address, which is
	// Address or that of a proxy before it. A keyspace is a word.
	Connect(ctx context.Context, address, keyspace string) (replica, error)

	// Forget drops the history that the server keeps for replicas that were away, as
	// operators have servers do from time to time.
	Forget(ctx context.Context, keyspace string) error
	Close()
}

// A system is one way to have a keyspace in several processes.
type system struct {
	name    string
	promise string // of Set, when it returns nil
	start   func(folder string) (server, error)
}

const (
	acknowledged = "acknowledged"
	visible      = "acknowledged and visible"
)

// systems returns those to compare. The first is that to which the others are compared.
func systems() []system {
	return []system{
		{"genie/etcd", visible, startGenie},
		{"clientv3, own map", acknowledged, startBare(false)},
		{"clientv3, own map that waits for its own event", visible, startBare(true)},
		{"NATS KV, own map, fsync always", acknowledged, startNATS(true, false)},
		{"NATS KV, own map that waits for its own event, fsync always", visible, startNATS(true, true)},
		{"NATS KV, own map, fsync every 2 minutes (the default)", acknowledged + ", not on disk", startNATS(false, false)},
	}
}

// Command example shows in about ten seconds how the sessions of a web service move between
// three processes' replicas, and what happens when the leader of the cluster is killed.
//
//	go -C etcd/example run .
//
// It needs nothing installed: it starts three etcd servers itself, each as a process of its own,
// with their data in a temporary folder that it removes. The first run compiles the servers, which
// takes a minute or so. The example is a module of its own, because the servers need about fifty
// modules that users of package etcd do not; so go run must start in this folder, as the flag -C
// has it.
//
// session.go is the code that a user of the package would write; the other files only look at it.
// The exit code is 1 if a request was lost or counted twice.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/windevkay/forge/genie/etcd"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/cluster"
)

func main() {
	cluster.ServeIfMember()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

// run gives the tour, and returns once nothing of it is left.
func run(ctx context.Context, out io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "genie-etcd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	c, err := cluster.Start(ctx, folder, cluster.DefaultQuota)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	t := &tour{out: out, cluster: c}
	for range cluster.Size {
		store, end, err := open(ctx, c)
		if err != nil {
			return err
		}
		defer end()
		t.replicas = append(t.replicas, store)
	}
	return t.walk(ctx)
}

// open opens a replica with a client of its own, as a process of a service does.
func open(ctx context.Context, c *cluster.Cluster) (store *etcd.Store, end func(), err error) {
	client, err := cluster.NewClient(c.Endpoints())
	if err != nil {
		return nil, nil, err
	}
	store, err = etcd.Open(ctx, client, "service/", etcd.WithTimeout(answerTime))
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return store, func() {
		store.Close()
		client.Close()
	}, nil
}

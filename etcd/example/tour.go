package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/windevkay/forge/genie/etcd"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/cluster"
)

// A tour is what the example shows.
type tour struct {
	out      io.Writer
	cluster  *cluster.Cluster
	replicas []*etcd.Store
}

func (t *tour) say(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

func (t *tour) walk(ctx context.Context) error {
	leader, err := t.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	t.say("Three etcd servers run, and %s leads them. Three replicas follow.", leader.Name())
	if err := t.move(ctx); err != nil {
		return err
	}
	crowd := t.admit(ctx)
	err = t.lose(ctx, crowd, leader)
	return errors.Join(err, crowd.end(), t.compare(ctx, crowd))
}

// move shows one session at all replicas.
func (t *tour) move(ctx context.Context) error {
	if err := logIn(ctx, t.replicas[0], "alice"); err != nil {
		return err
	}
	t.say("\nAlice logs in at replica 1, which stands at revision %d.", t.replicas[0].Revision())
	for n := 1; n <= 4; n++ {
		at := n % len(t.replicas)
		begun := time.Now()
		s, _, err := visit(ctx, t.replicas[at], "alice", fmt.Sprint("request ", n))
		if err != nil {
			return err
		}
		t.say("Replica %d serves her request %d in %v: pages seen: %d.", at+1, n, time.Since(begun).Round(100*time.Microsecond), s.Pages)
	}
	return t.look(ctx)
}

// look reads the session at a replica that has not served the last request.
func (t *tour) look(ctx context.Context) error {
	if err := t.replicas[2].Sync(ctx); err != nil {
		return err
	}
	begun := time.Now()
	s, err := find(t.replicas[2], "alice")
	if err != nil {
		return err
	}
	t.say("After a Sync, replica 3 reads her session in %v, from its own memory: pages seen: %d.",
		time.Since(begun).Round(100*time.Nanosecond), s.Pages)
	return nil
}

// someRequests is how many answers the tour waits for between its steps.
const someRequests = 500

// lose kills the leader among requests, and brings it back.
func (t *tour) lose(ctx context.Context, c *crowd, leader *cluster.Member) error {
	if err := c.await(ctx, someRequests); err != nil {
		return err
	}
	t.say("\n%d visitors send requests, each to another replica than the last. %d are answered.", visitors, c.answered.Load())
	if err := leader.Kill(); err != nil {
		return err
	}
	c.longest.Store(0)
	t.say("%s, the leader, is killed.", leader.Name())
	if err := t.goOn(ctx, c); err != nil {
		return err
	}
	if err := t.cluster.Heal(ctx); err != nil {
		return err
	}
	t.say("%s runs again, with its data.", leader.Name())
	return c.await(ctx, someRequests)
}

// goOn shows reads and writes without the leader.
func (t *tour) goOn(ctx context.Context, c *crowd) error {
	begun := time.Now()
	s, err := find(t.replicas[0], "alice")
	if err != nil {
		return err
	}
	t.say("Replica 1 reads Alice's session all the same, in %v: pages seen: %d.", time.Since(begun).Round(100*time.Nanosecond), s.Pages)
	if err := c.await(ctx, someRequests); err != nil {
		return err
	}
	next, err := t.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	t.say("Now %s leads. %d requests are answered; the slowest took %v.", next.Name(), c.answered.Load(),
		time.Duration(c.longest.Load()).Round(time.Millisecond))
	t.say("%s", c.lost())
	return nil
}

// compare compares the replicas with each other, and the sessions with the requests that were
// answered.
func (t *tour) compare(ctx context.Context, c *crowd) error {
	if err := t.equal(ctx); err != nil {
		return err
	}
	pages := int64(0)
	for v := range visitors {
		s, err := find(t.replicas[0], name(v))
		if err != nil {
			return err
		}
		pages += int64(s.Pages)
	}
	if answered := c.answered.Load(); pages != answered {
		return fmt.Errorf("%d requests were answered, and %d are counted", answered, pages)
	}
	t.say("\nThe visitors' sessions count %d pages, and %d requests were answered: none is lost, none counted twice.", pages, pages)
	t.say("The three replicas are equal, at revision %d.", t.replicas[0].Revision())
	return nil
}

// equal returns an error if the replicas differ after a Sync of each.
func (t *tour) equal(ctx context.Context) error {
	for n, store := range t.replicas {
		if err := store.Sync(ctx); err != nil {
			return err
		}
		if !maps.Equal(store.Snapshot(), t.replicas[0].Snapshot()) {
			return fmt.Errorf("replica %d differs from replica 1", n+1)
		}
	}
	return nil
}

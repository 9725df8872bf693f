package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/windevkay/forge/genie/etcd/internal/e2e/proxy"
)

// The words for a replica after a cut.
const (
	resumes   = "resumes"      // it has what the others have
	toldOfGap = "told of gaps" // it was told that it misses changes, and does not have them
	silent    = "silent"       // it shows new changes, misses older ones, and was not told
)

// patience is how long a replica may take to come back. NATS notices after some seconds that a
// consumer has gone.
const patience = time.Minute

// afterCut cuts a replica off, changes the keyspace meanwhile, and looks at the replica. If
// forget is set, the server also drops its history meanwhile.
func afterCut(ctx context.Context, s server, keyspace string, forget bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := proxy.New(s.Address())
	if err != nil {
		return "", err
	}
	defer p.Close()
	here, err := s.Connect(ctx, s.Address(), keyspace)
	if err != nil {
		return "", err
	}
	defer here.Close()
	there, err := s.Connect(ctx, p.Addr(), keyspace)
	if err != nil {
		return "", err
	}
	defer there.Close()
	if err := before(ctx, here, there); err != nil {
		return "", fmt.Errorf("before the cut: %w", err)
	}
	p.Reset()
	if err := meanwhile(ctx, s, here, keyspace, forget); err != nil {
		return "", fmt.Errorf("during the cut: %w", err)
	}
	p.Pass()
	return outcome(ctx, here, there)
}

// before makes the keys that change during the cut, and waits until both replicas show them.
func before(ctx context.Context, here, there replica) error {
	for _, key := range []string{"changed", "deleted"} {
		err := errors.Join(here.Set(ctx, key, "old"), there.Shows(ctx, key, "old"))
		if err != nil {
			return err
		}
	}
	return nil
}

func meanwhile(ctx context.Context, s server, here replica, keyspace string, forget bool) error {
	err := errors.Join(here.Set(ctx, "changed", "new"), here.Set(ctx, "added", "new"), here.Delete(ctx, "deleted"))
	if err != nil || !forget {
		return err
	}
	return s.Forget(ctx, keyspace)
}

// outcome waits until a change that was made after the cut is in the replica. By then, all
// changes before that one must be.
func outcome(ctx context.Context, here, there replica) (string, error) {
	if err := here.Set(ctx, "after", "new"); err != nil {
		return "", err
	}
	err := there.Shows(ctx, "after", "new")
	switch {
	case errors.Is(err, errGap):
		return toldOfGap, nil
	case err != nil:
		return "", fmt.Errorf("after the cut: %w", err)
	case isUpToDate(there):
		return resumes, nil
	}
	return silent, nil
}

func isUpToDate(r replica) bool {
	changed, _ := r.Get("changed")
	added, _ := r.Get("added")
	_, isThere := r.Get("deleted")
	return changed == "new" && added == "new" && !isThere
}

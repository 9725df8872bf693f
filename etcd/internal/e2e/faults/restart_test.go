package faults

import (
	"context"
	"maps"
	"path/filepath"

	"github.com/windevkay/forge/genie/etcd"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/cluster"
)

// restartReplica opens one more replica with a local file, looks whether it has every write that
// was acknowledged before, closes it, and starts again from the file, until the run stops.
func (r *run) restartReplica() {
	client, err := cluster.NewClient(r.cluster.Endpoints())
	if err != nil {
		r.findings.add("restarted replica: %v", err)
		return
	}
	defer client.Close() // its error is that the client was closed
	file := filepath.Join(r.t.TempDir(), "replica.json")
	for !r.stopped() {
		ctx, cancel := context.WithTimeout(r.ctx, r.patience)
		store, err := etcd.Open(ctx, client, prefix, etcd.WithFile(file), etcd.WithTimeout(attempt))
		if err == nil {
			r.inspect(ctx, store)
			err = store.Close()
		}
		if err != nil && outcomeOf(err) == unclear {
			r.findings.add("restarted replica: %v", err)
		}
		cancel()
		r.restarts++
	}
}

// inspect looks for the writes that were acknowledged before the Sync.
func (r *run) inspect(ctx context.Context, store *etcd.Store) {
	owed := r.ledger.owed()
	if store.Sync(ctx) != nil {
		return // the cluster is not to be had now
	}
	r.inspected++
	found := store.Snapshot()
	still := r.ledger.owed() // others are being deleted
	maps.DeleteFunc(owed, func(key, _ string) bool { return still[key] == "" })
	for _, fault := range missing(owed, found) {
		r.findings.add("restarted replica: %s", fault)
	}
	if err := store.View(func(v *etcd.View) error { return audit(v) }); err != nil {
		r.findings.add("restarted replica: %v", err)
	}
}

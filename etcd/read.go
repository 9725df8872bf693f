package etcd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie"
)

// readAll makes the replica what the prefix is at one revision, in one step. It reads in pages
// and keeps only what differs from the replica, so that memory is small where little differs. If
// the cluster compacts that revision meanwhile, readAll fails with rpctypes.ErrCompacted and has
// changed nothing.
func (f *follower) readAll(ctx context.Context) error {
	var d *difference
	var m mark
	err := f.replica.View(func(now *genie.View) (err error) {
		d = newDifference(now)
		m, err = f.readPages(ctx, d)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the prefix: %w", ofRead(err))
	}
	f.replace(d.finish(), m)
	return nil
}

// readPages reads the prefix into d, and returns the mark of the revision.
func (f *follower) readPages(ctx context.Context, d *difference) (mark, error) {
	m := mark{Prefix: f.prefix}
	from, next := f.prefix, newPager(f.chosen.timeout)
	for {
		began := time.Now()
		page, err := f.readPage(ctx, from, m.Revision, next.limit)
		if err != nil && f.isConnected() && next.again(err) {
			continue
		}
		if err != nil {
			return m, err
		}
		if m.Revision != 0 && page.Header.ClusterId != m.Cluster {
			return m, errHistory
		}
		m.Revision, m.Cluster = page.Header.Revision, page.Header.ClusterId
		bytes := d.add(page.Kvs, len(f.prefix), &m.Witness)
		if !page.More {
			return m, nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00" // the next key in order
		next.came(bytes, time.Since(began))
	}
}

// readPage reads a page at a revision or, if that is 0, at the newest, whose number is in the
// header of the answer.
func (f *follower) readPage(ctx context.Context, from string, at, limit int64) (*clientv3.GetResponse, error) {
	ctx, cancel := f.attempt(ctx)
	defer cancel()
	page, err := f.kv.Get(ctx, from, clientv3.WithRange(f.prefixEnd), clientv3.WithRev(at), clientv3.WithLimit(limit))
	if err != nil {
		return nil, ended(ctx, err)
	}
	if at != 0 {
		page.Header.Revision = at // the header has the newest
	}
	return page, nil
}

// A difference is collected while the entries of the prefix come by in the order of their keys.
// It has what must change in the replica.
type difference struct {
	get     func(key string) (string, bool) // of the replica
	have    []string                        // keys of the replica, sorted, that were not passed yet
	changes []change
}

func newDifference(now *genie.View) *difference {
	have := make([]string, 0, now.Len())
	for key := range now.All() {
		if key != markKey {
			have = append(have, key)
		}
	}
	slices.Sort(have)
	return &difference{get: now.Get, have: have}
}

// add compares a page with the replica. It returns the bytes of the page, and makes the newest
// entry the witness.
func (d *difference) add(page []*mvccpb.KeyValue, prefix int, w *witness) (bytes int) {
	for _, kv := range page {
		bytes += ofEntry + len(kv.Key) + len(kv.Value)
		key := string(kv.Key[prefix:])
		if key == tokenKey {
			continue
		}
		d.pass(key)
		if value, exists := d.get(key); !exists || value != string(kv.Value) {
			d.changes = append(d.changes, change{key: key, value: string(kv.Value)})
		}
		if kv.ModRevision > w.At {
			*w = witness{Key: key, At: kv.ModRevision}
		}
	}
	return bytes
}

// pass deletes the keys of the replica that come before key: the prefix no longer has them.
func (d *difference) pass(key string) {
	for len(d.have) > 0 && d.have[0] <= key {
		if d.have[0] != key {
			d.changes = append(d.changes, change{key: d.have[0], deleted: true})
		}
		d.have = d.have[1:]
	}
}

// finish returns the changes, once all entries have come by.
func (d *difference) finish() []change {
	for _, key := range d.have {
		d.changes = append(d.changes, change{key: key, deleted: true})
	}
	d.have = nil
	return d.changes
}

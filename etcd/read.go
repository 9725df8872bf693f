package etcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"

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

// readPages reads the prefix into d, and returns the mark of the revision. On a slow link a page may
// not come within the timeout. Then readPages asks for smaller pages, down to one entry: the next
// session would only ask for the same. An endpoint that hangs costs five timeouts instead of one;
// a connection that does not stand costs one.
func (f *follower) readPages(ctx context.Context, d *difference) (mark, error) {
	m := mark{Prefix: f.prefix}
	from, limit, most := f.prefix, firstLimit, int64(math.MaxInt64)
	for {
		page, err := f.readPage(ctx, from, m.Revision, limit)
		if errors.Is(err, errTimeout) && limit > 1 && f.isConnected() {
			limit = max(limit/4, 1)
			most = limit // a page of more would not come in time either
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
		limit = min(nextLimit(limit, bytes), most)
	}
}

func (f *follower) isConnected() bool {
	return f.client.ActiveConnection().GetState() == connectivity.Ready
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

// The limit of a page is a number of entries, and etcd has no limit in bytes. Each limit is
// chosen by the sizes of the entries before, for pages of about pageBytes. Pages are large
// because the server counts all keys behind each page.
const (
	firstLimit int64 = 256
	pageBytes  int64 = 16 << 20
	ofEntry          = 100 // bytes of an entry without those of key and value
)

// nextLimit returns the limit of the page after one of limit entries that had so many bytes.
// Limits grow by four at most, because the next entries can be larger.
func nextLimit(limit int64, bytes int) int64 {
	return min(max(limit*pageBytes/int64(bytes), 1), 4*limit)
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

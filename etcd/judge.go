package etcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A verdict says whether a cluster has the history that a replica was made of.
type verdict int

const (
	unproven verdict = iota // nothing speaks against it, and nothing proves it
	same
	other // another cluster, or one that was restored from an older backup
)

// standing is a mark with the value that the witness has in the replica.
type standing struct {
	mark
	value string
}

// judge asks the cluster whether its history is that of the replica, and returns the place of
// the cluster's newest revision.
//
// The ID of a cluster is not enough: a cluster that was restored from a backup can keep its ID,
// and it may have more revisions by now than the replica has seen. A revision is one
// transaction. So if the cluster has the witness, the same key with the same value at the same
// revision, the replica was made of this history. That is a check and no proof: another
// history may have written the same value to the same key at the same revision. "etcdutl snapshot
// restore --bump-revision --mark-compacted" makes a cluster that cannot be mistaken.
func (s *Store) judge(ctx context.Context, m standing) (verdict, place, error) {
	now, err := s.look(ctx, m.Witness.Key, 0)
	if err != nil {
		return unproven, place{}, ofRead(err)
	}
	head := place{now.cluster, now.revision}
	switch {
	case now.cluster != m.Cluster || now.revision < m.Revision:
		return other, head, nil
	case m.Witness.At == 0:
		return unproven, head, nil
	case !m.Witness.Deleted && m.is(now):
		return same, head, nil
	}
	v, err := s.judgeThen(ctx, m)
	return v, head, ofRead(err)
}

// judgeThen looks for the witness in the history: its key was written again, or it is a
// deletion.
func (s *Store) judgeThen(ctx context.Context, m standing) (verdict, error) {
	then, err := s.look(ctx, m.Witness.Key, m.Witness.At)
	if errors.Is(err, rpctypes.ErrCompacted) {
		return unproven, nil
	}
	if err != nil {
		return unproven, err
	}
	if !m.Witness.Deleted {
		return verdictOf(m.is(then)), nil
	}
	before, err := s.look(ctx, m.Witness.Key, m.Witness.At-1)
	if errors.Is(err, rpctypes.ErrCompacted) {
		return unproven, nil
	}
	return verdictOf(before.exists && !then.exists), err
}

func verdictOf(matches bool) verdict {
	if matches {
		return same
	}
	return other
}

// is reports whether the cluster has the witness.
func (m standing) is(seen found) bool {
	return seen.exists && seen.modified == m.Witness.At && seen.value == m.value
}

// found is a key as the cluster has it, with the place of the answer.
type found struct {
	place
	exists   bool
	modified int64
	value    string
}

// look reads a key from the quorum, at a revision or, if that is 0, as it is now. A client with several
// endpoints takes them in turn. So if one does not answer, look asks the next, as often as the client
// has endpoints.
func (s *Store) look(ctx context.Context, key string, at int64) (found, error) {
	for try := 1; ; try++ {
		f, err := s.lookOnce(ctx, key, at)
		unanswered := errors.Is(err, errTimeout) || errors.Is(err, rpctypes.ErrTimeout)
		if !unanswered || ctx.Err() != nil || try >= len(s.client.Endpoints()) {
			return f, err
		}
	}
}

func (s *Store) lookOnce(ctx context.Context, key string, at int64) (found, error) {
	ctx, cancel := s.attempt(ctx)
	defer cancel()
	answer, err := s.kv.Get(ctx, s.prefix+key, clientv3.WithRev(at))
	if err != nil {
		return found{}, ended(ctx, err)
	}
	f := found{place: placeOf(answer.Header)}
	if len(answer.Kvs) > 0 {
		f.exists, f.modified, f.value = true, answer.Kvs[0].ModRevision, string(answer.Kvs[0].Value)
	}
	return f, nil
}

package etcd

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// errEmptyKey is given for the one key that a Store cannot have.
var errEmptyKey = fmt.Errorf("empty key: %w", fs.ErrInvalid)

// Set gives key a value, and returns nil when a quorum of the cluster has the write on disk and
// this replica shows it: every Get here that begins later, and every Get of another replica
// after a [Store.Sync], sees it or a newer one. Set removes the lease that [Store.SetWithTTL]
// has given the key. key must not be empty.
//
// [errors.Is] tells what an error says about the write:
//
//   - It was not applied and will not be: [ErrUnavailable], [ErrTooLarge], and errors of the
//     cluster that refuse the request, such as rpctypes.ErrPermissionDenied.
//   - It was applied, and this replica does not show it yet: [ErrNotVisible].
//   - It may have been applied, or may still be: [ErrUnknown], alone or with [ErrQuota]. Set
//     does not send such a write again: between two sends another caller may have written the
//     key.
//
// Sets of many callers travel together: while four requests with Sets are under way, further Sets
// of this Store wait for the next answer, for 10 ms at most, and then go to the cluster as one
// transaction, with one revision. So a [Store.Watch], of any replica, has them in one step. Each has
// its own answer all the same: a write that the cluster refuses does not fail the others. The values
// of ctx do not go with such a transaction.
//
// Set waits for a cluster that cannot be reached, or has no leader, until ctx ends, but no longer
// than [WithTimeout] says, and then as long again at most for the replica.
func (s *Store) Set(ctx context.Context, key, value string) error {
	if err := s.set(ctx, key, value); err != nil {
		return fmt.Errorf("genie/etcd: set %q: %w", key, err)
	}
	return nil
}

func (s *Store) set(ctx context.Context, key, value string, opts ...clientv3.OpOption) error {
	if key == markKey {
		return errEmptyKey
	}
	at, err := s.write(ctx, func(ctx context.Context) (place, error) {
		answer, err := s.sets.do(ctx, clientv3.OpPut(s.prefix+key, value, opts...))
		return answer.at, err
	}, ofWrite)
	if err != nil {
		return err
	}
	return s.visible(ctx, at, change{key: key, value: value})
}

// Delete removes key, if it is there, with the promises and errors of [Store.Set].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.delete(ctx, key); err != nil {
		return fmt.Errorf("genie/etcd: delete %q: %w", key, err)
	}
	return nil
}

// delete sends a deletion that has found nothing again if the link has ended since: a cluster that was
// restored from a backup may have the key.
func (s *Store) delete(ctx context.Context, key string) error {
	if key == markKey {
		return errEmptyKey
	}
	for {
		if err := s.deleteOnce(ctx, key); err != errCut {
			return err
		}
	}
}

// deleteOnce sends a deletion. If it has found nothing, another caller may have deleted the key, and
// the replica still have it, so deleteOnce waits for the replica. It returns errCut if that was in vain.
func (s *Store) deleteOnce(ctx context.Context, key string) error {
	found := false
	at, err := s.write(ctx, func(ctx context.Context) (place, error) {
		answer, err := s.deletions.do(ctx, clientv3.OpDelete(s.prefix+key))
		found = answer.found
		return answer.at, err
	}, ofWrite)
	switch {
	case err != nil:
		return err
	case found:
		return s.visible(ctx, at, change{key: key, deleted: true})
	}
	err = s.position.reach(ctx, at, true, s.chosen.timeout)
	if err != nil && err != errCut {
		err = &NotVisibleError{at.revision, err}
	}
	return err
}

// SetWithTTL is [Store.Set] for an entry that the cluster deletes when its time to live, ttl,
// has passed. The deadline is the cluster's, by a lease of its own for each call:
//
//   - ttl is rounded up to whole seconds, and to the shortest lease of the cluster: one and a
//     half election timeouts, which is 2 s with the defaults of etcd. The longest lease of etcd
//     is 9 000 000 000 s, about 285 years. A longer ttl is cut to it.
//   - The leader ends leases, up to half a second late, and at most 1 000 a second. The key
//     is in each replica until the deletion has come there; a replica that is cut off
//     keeps it.
//   - A change of the leader begins the lease anew, unless the cluster has checkpoints of
//     leases. So no process knows the deadline, and a Store has no ExpiresAt.
//   - A later Set, SetWithTTL or Update of the key detaches it from the lease. The lease without
//     a key stays in the cluster until its end.
//
// A lease costs the cluster a request more, and memory until it ends, also if the write fails.
// Where many keys end, and an hour sooner or later does not matter, deleting them by Update is
// cheaper. If ttl is not positive, SetWithTTL is a Delete.
//
// If the lease ends before the write is sent, the error is rpctypes.ErrLeaseNotFound, and nothing was
// written. SetWithTTL takes as long as a Set, and the time of [WithTimeout] more for the lease.
func (s *Store) SetWithTTL(ctx context.Context, key, value string, ttl time.Duration) error {
	if ttl <= 0 {
		return s.Delete(ctx, key)
	}
	if err := s.setWithTTL(ctx, key, value, ttl); err != nil {
		return fmt.Errorf("genie/etcd: set %q for %v: %w", key, ttl, err)
	}
	return nil
}

func (s *Store) setWithTTL(ctx context.Context, key, value string, ttl time.Duration) error {
	if key == markKey {
		return errEmptyKey
	}
	lease, err := s.grant(ctx, ttl)
	if err != nil {
		return err
	}
	return s.set(ctx, key, value, clientv3.WithLease(lease))
}

// grant returns a new lease. A lease that is granted in vain, or whose grant is not answered,
// has no key and ends by itself, so no outcome is unknown.
func (s *Store) grant(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	var lease clientv3.LeaseID
	_, err := s.write(ctx, func(ctx context.Context) (place, error) {
		answer, err := s.leases.Grant(ctx, leaseSeconds(ttl))
		if err == nil {
			lease = answer.ID
		}
		return place{}, err
	}, ofRead)
	return lease, err
}

// leaseSeconds rounds ttl up, to at most the longest lease of etcd, which is 285 years: a Duration
// can be seven years longer. To add a second before the division would overflow there.
func leaseSeconds(ttl time.Duration) int64 {
	seconds := int64(ttl / time.Second)
	if ttl%time.Second > 0 {
		seconds++
	}
	return min(seconds, clientv3.MaxLeaseTTL)
}

// Sync returns nil when this replica shows every write that was acknowledged to any caller, of
// any replica, before the call of Sync. So a Get after a Sync is linearizable. A Sync asks the
// quorum once and writes nothing. It gives [ErrUnavailable] if the cluster does not answer, or
// the replica does not catch up, before ctx ends, and no later than [WithTimeout] says.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.sync(ctx); err != nil {
		return fmt.Errorf("genie/etcd: sync: %w", err)
	}
	return nil
}

// sync asks again if the link has ended since it asked: the answer, or the place that the replica has
// reached, may be of another history.
//
// One attempt is around all of it: sync waits for the connection, an answer, and the replica.
func (s *Store) sync(ctx context.Context) error {
	ctx, cancel := s.attempt(ctx)
	defer cancel()
	for {
		link, err := s.ready(ctx)
		if err != nil {
			return marked(ErrUnavailable, err)
		}
		if err = s.syncOn(ctx, link); err == nil || link.Err() == nil {
			return err
		}
	}
}

func (s *Store) syncOn(ctx context.Context, link context.Context) error {
	ctx, cancel := whileLinked(ctx, link)
	defer cancel()
	now, err := s.look(ctx, tokenKey, 0)
	if err != nil {
		return ofRead(err)
	}
	return s.caughtUp(ctx, receipt{now.place, link})
}

// caughtUp returns once the replica has reached the place of a read.
func (s *Store) caughtUp(ctx context.Context, at receipt) error {
	return marked(ErrUnavailable, s.position.reach(ctx, at, true, s.chosen.timeout))
}

package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A receipt is a place that an answer has named, and the link that the request began with. The link of
// the answer is that or a later one.
type receipt struct {
	place
	link context.Context
}

// Reasons for a [NotVisibleError].
var (
	errNotThere  = errors.New("the cluster was replaced or restored, and does not have the write")
	errForgotten = errors.New("the connection broke, and the cluster has compacted the history that would show the write")
)

// visible returns once the replica shows a change that the quorum has acknowledged.
//
// If the link has ended, the cluster may have been restored from an older backup. Then the replica
// reaches the revision, or is beyond it, and the revision is of another write.
func (s *Store) visible(ctx context.Context, at receipt, c change) error {
	late := time.Now().Add(s.chosen.timeout)
	err := s.position.reach(ctx, at, false, s.chosen.timeout)
	if err == errCut {
		err = s.visibleAgain(ctx, late, at.place, c)
	}
	if err != nil {
		return &NotVisibleError{at.revision, err}
	}
	return nil
}

// visibleAgain waits for a link by which the cluster has a change, and the replica shows it. Both
// must be of one link: the replica may still show what it had before.
func (s *Store) visibleAgain(ctx context.Context, late time.Time, at place, c change) error {
	ctx, cancel := s.attempt(ctx)
	defer cancel()
	ctx, release := context.WithDeadlineCause(ctx, late, errTimeout)
	defer release()
	for {
		link, err := s.ready(ctx)
		if err != nil {
			return err
		}
		if err = s.remains(ctx, receipt{at, link}, c); err == nil || link.Err() == nil {
			return err
		}
	}
}

// remains returns nil if, by the link of a receipt, the cluster has in its history a change that it
// had at the place, and the replica has come there. An error of the look is about the look and not
// about the write, so errors.Is must not find it.
func (s *Store) remains(ctx context.Context, at receipt, c change) error {
	ctx, cancel := whileLinked(ctx, at.link)
	defer cancel()
	m := mark{Revision: at.revision, Cluster: at.cluster, Witness: witness{c.key, at.revision, c.deleted}}
	switch v, _, err := s.judge(ctx, standing{m, c.value}); {
	case err != nil:
		return joined(reasonOf(ctx), fmt.Errorf("look for the write: %v", err))
	case v == other:
		return errNotThere
	case v == unproven:
		return errForgotten
	}
	return s.position.reach(ctx, at, false, s.chosen.timeout)
}

package faults

import (
	"context"
	"errors"

	"github.com/windevkay/forge/genie/etcd/internal/e2e/cluster"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/proxy"
)

// The faults here cut the network between members, while all members run and clients reach all of
// them.

// part cuts off a member from the others.
func part(r *run, m *cluster.Member) error {
	return r.losesLeader(m, func(*cluster.Member) { r.cluster.Part(m) })
}

// deafen has the messages to a member vanish, while its own reach the others.
func deafen(r *run, m *cluster.Member) error {
	return r.losesLeader(m, func(*cluster.Member) { r.others(m, func(o *cluster.Member) { r.cluster.Silence(o, m) }) })
}

// silenceLeader has the messages of the leader to a follower vanish. All other links are sound, the
// way back among them.
func silenceLeader(r *run, follower *cluster.Member) error {
	return r.losesLeader(follower, func(leader *cluster.Member) { r.cluster.Silence(leader, follower) })
}

func (r *run) others(m *cluster.Member, do func(*cluster.Member)) {
	for _, other := range r.cluster.Members {
		if other != m {
			do(other)
		}
	}
}

// losesLeader cuts links, and waits until a member, perhaps the leader itself, does not take the
// leader for the leader any more.
func (r *run) losesLeader(m *cluster.Member, cut func(leader *cluster.Member)) error {
	leader, err := r.leaderOf(m)
	if err != nil {
		return err
	}
	cut(leader)
	return r.loses(m, leader)
}

// leaderOf waits until a member follows or leads, and returns the leader.
func (r *run) leaderOf(m *cluster.Member) (leader *cluster.Member, err error) {
	err = r.await("a leader of a member", func() bool {
		leader, _ = r.cluster.LeaderOf(r.ctx, m) // an error is an answer that did not come in time
		return leader != nil
	})
	return leader, err
}

func (r *run) loses(m, leader *cluster.Member) error {
	return r.await("a member without its leader", func() bool {
		now, err := r.cluster.LeaderOf(r.ctx, m)
		return err == nil && now != leader
	})
}

// mute has the messages of a member vanish, while those of the others reach it. A leader then makes
// way for another. The member follows a leader that does not hear it, so it serves old revisions, and
// answers nothing that needs a quorum. Clients are not told, and go on using it in turn.
func mute(r *run, m *cluster.Member) error {
	r.others(m, func(o *cluster.Member) { r.cluster.Silence(m, o) })
	return nil
}

// eachAlone cuts off all members from each other.
func eachAlone(r *run) error {
	for _, m := range r.cluster.Members {
		r.cluster.Part(m)
	}
	return r.failAndMend()
}

// besideAPartedLeader has a replica reach the leader alone, and then cuts off the leader from the
// others: the replica is on the side that does not work.
func besideAPartedLeader(r *run) error {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	leader, err := r.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	one := r.victim()
	for i, m := range r.cluster.Members {
		if m != leader {
			one.network[i].Reset()
		}
	}
	err = errors.Join(part(r, leader), r.failures(one), r.progress(r.some, one))
	one.all((*proxy.Proxy).Pass)
	return errors.Join(err, mend(r))
}

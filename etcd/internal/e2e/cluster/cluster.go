// Package cluster runs an etcd cluster of three servers on the loopback, for the tests of
// faults and for the example. Each server is a process of its own, so a server can be
// killed, stopped or run out of disk as on a machine of its own. The processes run the
// binary that imports this package, so nothing needs to be installed:
//
//	func main() {
//		cluster.ServeIfMember() // in a server's process, the call does not return
//		…
//		c, err := cluster.Start(ctx, folder, cluster.DefaultQuota)
//
// The servers reach each other through proxies of this process, so that the network between any two of
// them can be cut, in one direction or in both. Clients reach the servers without a proxy.
//
// The servers sync their writes to the disk as in production. Two settings differ: the
// ticks are short, so that an election takes about a second, and a server that was away
// for a thousand writes gets a snapshot instead of those writes.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Size is the number of members. One may fail, and the other two go on.
const Size = 3

// DefaultQuota has a member take etcd's own default for the size of its database, 2 GB.
const DefaultQuota = 0

// A Cluster is three members. The goroutine that has started a Cluster owns it: methods
// that change members must not run at once.
type Cluster struct {
	Members [Size]*Member
	network *network         // between the members
	client  *clientv3.Client // for questions about the cluster; it has all endpoints
}

// Start starts three members with their data in folders below folder, and returns once the
// cluster has a leader and every member is ready. quota is the size in bytes at which a
// member's database is full. The members run until [Cluster.Close], and end when this
// process ends, however it ends.
func Start(ctx context.Context, folder string, quota int64) (*Cluster, error) {
	ports, err := freePorts(2 * Size)
	if err != nil {
		return nil, fmt.Errorf("find ports: %w", err)
	}
	c := &Cluster{}
	all := settingsOf(folder, quota, ports)
	if c.network, err = newNetwork(&all); err != nil {
		return nil, err
	}
	for i, s := range all {
		c.Members[i] = &Member{settings: s}
	}
	c.client, err = NewClient(c.Endpoints())
	if err != nil {
		return nil, errors.Join(err, c.network.close())
	}
	for _, m := range c.Members {
		err = errors.Join(err, m.Start())
	}
	if err = errors.Join(err, c.Ready(ctx)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// settingsOf returns the settings of all members, but for their gateways. A member has two of the
// ports.
func settingsOf(folder string, quota int64, ports []int) (all [Size]settings) {
	var peers []string
	for i := range all {
		name := fmt.Sprintf("m%d", i)
		all[i] = settings{
			Name:   name,
			Folder: filepath.Join(folder, name),
			Client: fmt.Sprintf("127.0.0.1:%d", ports[2*i]),
			Peer:   fmt.Sprintf("127.0.0.1:%d", ports[2*i+1]),
			Quota:  quota,

			Advertised: advertised(i).String(),
		}
		peers = append(peers, name+"=http://"+all[i].Advertised)
	}
	for i := range all {
		all[i].Peers = strings.Join(peers, ",")
	}
	return all
}

// NewClient returns a client for the endpoints that notices a server that has stopped
// answering, and that tries at least once a second to reach a server that was down. The caller
// closes the client.
func NewClient(endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:   endpoints,
		DialTimeout: 2 * time.Second,
		// gRPC takes nothing shorter. A server that hangs is so left after twelve seconds.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 2 * time.Second,
		// The default lets the pause between two tries grow to two minutes.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		})},
		Logger: zap.NewNop(),
	})
}

// Endpoints returns the addresses of all members, as HOST:PORT, in the order of Members.
func (c *Cluster) Endpoints() []string {
	var all []string
	for _, m := range c.Members {
		all = append(all, m.Endpoint())
	}
	return all
}

// Client returns a client of all members. The cluster closes it.
func (c *Cluster) Client() *clientv3.Client { return c.client }

// Ready waits until every member runs and takes part in the cluster.
func (c *Cluster) Ready(ctx context.Context) error {
	for _, m := range c.Members {
		if err := m.Ready(ctx); err != nil {
			return err
		}
	}
	_, err := c.Leader(ctx)
	return err
}

// Leader waits for a leader that answers, and returns it.
func (c *Cluster) Leader(ctx context.Context) (*Member, error) {
	for {
		if m := c.leader(ctx); m != nil {
			return m, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("no leader: %w", context.Cause(ctx))
		}
	}
}

// leader returns the member that says that it leads, or nil. A leader that was cut off
// believes in itself for a while, so of two the one with the higher term leads.
func (c *Cluster) leader(ctx context.Context) (leader *Member) {
	var term uint64
	for _, m := range c.Members {
		if !m.answers() {
			continue
		}
		status, err := c.status(ctx, m)
		if err == nil && status.Leader == status.Header.MemberId && status.RaftTerm > term {
			leader, term = m, status.RaftTerm
		}
	}
	return leader
}

func (c *Cluster) status(ctx context.Context, m *Member) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return c.client.Status(ctx, m.Endpoint())
}

// LeaderOf returns the member that m takes for the leader, or nil if m knows none. A leader takes
// itself for the leader, also if it was cut off a moment ago.
func (c *Cluster) LeaderOf(ctx context.Context, m *Member) (*Member, error) {
	status, err := c.status(ctx, m)
	if err != nil || status.Leader == 0 {
		return nil, err
	}
	for _, other := range c.Members {
		its, err := c.status(ctx, other)
		if err != nil {
			return nil, err
		}
		if its.Header.MemberId == status.Leader {
			return other, nil
		}
	}
	return nil, fmt.Errorf("member %s follows a stranger", m.Name())
}

// Follower waits for a leader that answers, and returns a member that follows it.
func (c *Cluster) Follower(ctx context.Context) (*Member, error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range c.Members {
		if m != leader && m.answers() {
			return m, nil
		}
	}
	return nil, errors.New("no follower answers")
}

// Part has no message pass between m and the other members, until [Cluster.Heal]. Clients reach all
// members as before.
func (c *Cluster) Part(m *Member) {
	for _, other := range c.Members {
		if other != m {
			c.Silence(m, other)
			c.Silence(other, m)
		}
	}
}

// Silence has no byte of the member from reach the member to, until [Cluster.Heal]. The messages of
// to reach from as before.
func (c *Cluster) Silence(from, to *Member) { c.network.silence(c.number(from), c.number(to)) }

func (c *Cluster) number(m *Member) int { return slices.Index(c.Members[:], m) }

// Heal ends all cuts between members, continues the members that are stopped, starts those that
// have ended, and waits until all are ready.
func (c *Cluster) Heal(ctx context.Context) error {
	c.network.heal()
	for _, m := range c.Members {
		if err := m.heal(); err != nil {
			return err
		}
	}
	return c.Ready(ctx)
}

// Close kills the members, also those that are stopped, and waits for their ends.
func (c *Cluster) Close() error {
	err := c.client.Close()
	for _, m := range c.Members {
		err = errors.Join(err, m.Kill())
	}
	return errors.Join(err, c.network.close())
}

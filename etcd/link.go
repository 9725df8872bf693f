package etcd

import (
	"context"
	"errors"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A link is the time in which the connection to the cluster stands, and no other history is found
// behind it. It is a context, which ends with that time. A session ends with its link. A session that
// ends for another reason leaves the link as it is. An answer says something about the history of its
// link only: the next connection may be to a cluster that was restored from a backup.

// errCut is the end of a link.
var errCut = errors.New("the connection to the cluster broke, or another history was found")

type linkKey struct{}

// withLink returns a context for writes that are not to be sent after the end of a link.
func withLink(ctx context.Context, link context.Context) context.Context {
	return context.WithValue(ctx, linkKey{}, link)
}

// A ticket is asked for credentials, of which it has none, when gRPC writes a request to a
// connection. Before, the client of etcd keeps the request until a connection stands, and that may be
// one to another history. So a ticket refuses after the end of its link. A request that was sent gets
// its answer all the same: a server that closes a connection in order still answers.
type ticket struct {
	link  context.Context
	state atomic.Int32 // unused, and then used or withdrawn for good
}

const (
	unused int32 = iota
	used
	withdrawn
)

func newTicket(ctx context.Context) *ticket {
	link, linked := ctx.Value(linkKey{}).(context.Context)
	if !linked {
		link = context.Background()
	}
	return &ticket{link: link}
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t *ticket) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if t.link.Err() != nil || !t.state.CompareAndSwap(unused, used) && t.state.Load() == withdrawn {
		return nil, status.Error(codes.Unavailable, errCut.Error())
	}
	return nil, nil
}

// withdraw reports whether the request was never sent. It never will be then.
func (t *ticket) withdraw() bool { return t.state.CompareAndSwap(unused, withdrawn) }

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (t *ticket) RequireTransportSecurity() bool { return false }

// whileLinked returns a context that ends with ctx and with a link.
func whileLinked(ctx context.Context, link context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(link, func() { cancel(errCut) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// linked returns the present link, and a channel that is closed while the replica follows the
// cluster.
func (p *position) linked() (link context.Context, followed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link, p.follows
}

// isOn reports whether the replica follows the cluster by a link.
func (p *position) isOn(link context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.following && p.link == link
}

// cut ends the link and all waits for the replica, and notes that the replica does not follow the
// cluster, in one step: writes must not go to another history meanwhile.
func (p *position) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlink()
	p.link, p.unlink = context.WithCancel(context.Background())
	p.stopFollowing()
	for w := range p.waiting {
		p.wake(w, errCut)
	}
}

package etcd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
)

// errTimeout is the end of a request that has lasted as long as WithTimeout says. It is an
// error of the context, too.
var errTimeout = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)

// attempt returns a context for one request: it ends with the caller's, after the timeout, and
// by a Close. A server without a leader must refuse the request, and not let it wait.
func (s *Store) attempt(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(ErrClosed) })
	ctx, release := context.WithTimeoutCause(ctx, s.chosen.timeout, errTimeout)
	return clientv3.WithRequireLeader(ctx), func() {
		release()
		stop()
		cancel(nil)
	}
}

// A request sends one request to the cluster, and returns the place of the answer.
type request func(ctx context.Context) (place, error)

// write sends a request that changes the cluster. The request is sent once the replica follows
// the cluster and the client is connected, and is sent again only if it was not sent, or after an
// answer that says that it was refused. kind makes the error.
func (s *Store) write(ctx context.Context, send request, kind func(error) error) (receipt, error) {
	ctx, cancel := s.attempt(ctx)
	defer cancel()
	for pause := firstPause; ; pause = longer(pause) {
		link, err := s.ready(ctx)
		if err != nil {
			return receipt{}, marked(ErrUnavailable, err)
		}
		at, err := send(withLink(ctx, link))
		if err == nil || !rule(err).again || !sleep(ctx, pause) {
			return receipt{at, link}, kind(ended(ctx, err))
		}
	}
}

// ready waits until a write has a chance, and returns the link that it is to be sent by. A write
// that ends here was not sent, so its outcome is known.
//
// The replica must follow the cluster because a write is answered when it is visible here, and
// because a replica that has not seen the cluster since its start may be that of another. The
// connection must stand because the client of etcd waits for one and reports the end of this
// wait like the loss of an answer.
func (s *Store) ready(ctx context.Context) (link context.Context, err error) {
	for {
		link, followed := s.position.linked()
		select {
		case <-followed:
		case <-ctx.Done():
		}
		switch {
		case s.life.Err() != nil:
			return nil, ErrClosed // ctx ends by a Close, too, but perhaps a moment later
		case ctx.Err() != nil:
			return nil, reasonOf(ctx)
		case s.isConnected() && s.position.isOn(link): // in this order
			return link, nil
		}
		s.awaitConnection(ctx, link)
	}
}

func (s *Store) isConnected() bool {
	return s.client.ActiveConnection().GetState() == connectivity.Ready
}

// awaitConnection returns when the connection has changed, or the link has ended.
func (s *Store) awaitConnection(ctx context.Context, link context.Context) {
	ctx, cancel := whileLinked(ctx, link)
	defer cancel()
	connection := s.client.ActiveConnection()
	if state := connection.GetState(); state != connectivity.Ready {
		connection.Connect()
		connection.WaitForStateChange(ctx, state)
	}
}

// awaitFollowing waits until the replica follows the cluster.
func (s *Store) awaitFollowing(ctx context.Context) error {
	ctx, cancel := s.attempt(ctx)
	defer cancel()
	_, err := s.ready(ctx)
	return marked(ErrUnavailable, err)
}

// The pauses between requests, and between sessions, grow from firstPause to longestPause.
const (
	firstPause   = 25 * time.Millisecond
	longestPause = time.Second
)

func longer(pause time.Duration) time.Duration { return min(2*pause, longestPause) }

// sleep waits for about as long as pause, so that clients that were refused together do not
// come again together. It reports whether ctx lasted.
func sleep(ctx context.Context, pause time.Duration) bool {
	select {
	case <-time.After(pause/2 + rand.N(max(pause, 1))): // a coarse clock measures pauses of 0
		return true
	case <-ctx.Done():
		return false
	}
}

package etcd

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// failing is a KV whose reads fail.
type failing struct {
	clientv3.KV
	err error
}

func (f failing) Get(context.Context, string, ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return nil, f.err
}

// The write was applied. So its error is not that of the look, which would say that it was not.
func TestALookThatFailsSaysNothingOfTheWrite(t *testing.T) {
	for _, cause := range []error{
		rpctypes.ErrNoLeader, rpctypes.ErrStopped, context.DeadlineExceeded, rpctypes.ErrPermissionDenied,
		status.Error(codes.ResourceExhausted, "received message larger than max"),
	} {
		s, _ := following(t, nil)
		s.kv = failing{err: cause}
		err := s.remains(t.Context(), s.position.receipt(place{1, 10}), change{key: "a", value: "1"})
		require.ErrorContains(t, err, cause.Error())
		for _, sentinel := range append(sentinels, rpctypes.ErrPermissionDenied) {
			assert.NotErrorIs(t, err, sentinel)
		}
	}
}

func TestAChangeRemains(t *testing.T) {
	for name, test := range map[string]struct {
		cluster   history
		compacted int64
		want      error
	}{
		"it is there":              {history{1, 12, map[int64]string{9: "1", 10: "2"}}, 0, nil},
		"overwritten since":        {history{1, 12, map[int64]string{10: "2", 11: "3"}}, 0, nil},
		"it is not":                {history{1, 12, map[int64]string{9: "1"}}, 0, errNotThere},
		"another in its place":     {history{1, 12, map[int64]string{10: "x"}}, 0, errNotThere},
		"fewer revisions":          {history{1, 9, map[int64]string{9: "1"}}, 0, errNotThere},
		"another cluster":          {history{2, 12, map[int64]string{10: "2"}}, 0, errNotThere},
		"overwritten, compacted":   {history{1, 12, map[int64]string{10: "2", 11: "3"}}, 11, errForgotten},
		"it is there, compacted":   {history{1, 12, map[int64]string{10: "2"}}, 11, nil},
		"the replica is not there": {history{1, 12, map[int64]string{11: "2"}}, 0, errTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := following(t, func(key string, rev int64) *clientv3.GetResponse {
				if rev != 0 && rev < test.compacted {
					return nil
				}
				return test.cluster.get(key, rev)
			})
			s.chosen.timeout = time.Millisecond
			at := place{1, 10}
			if errors.Is(test.want, errTimeout) {
				at.revision = 11
			}
			err := s.remains(t.Context(), s.position.receipt(at), change{key: "a", value: "2"})
			assert.ErrorIs(t, err, test.want)
		})
	}
}

// connected gives a Store a client whose connection stands. The server has no methods: the KV of the
// test answers.
func connected(t *testing.T, s *Store) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	s.client, err = clientv3.New(clientv3.Config{Endpoints: []string{listener.Addr().String()}, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { s.client.Close() })
}

// A request that gRPC writes to a connection after the end of its link is not sent. The client of
// etcd has kept it until that connection stood.
func TestARequestIsNotSentAfterItsLink(t *testing.T) {
	s, _ := following(t, nil)
	connected(t, s.Store)
	kv := newKV(s.client)
	link, _ := s.position.linked()
	ctx := withLink(t.Context(), link)
	_, err := kv.Put(ctx, "key", "value")
	require.NotErrorIs(t, ofWrite(err), errUnsent, "it has come to the server, which has no methods")
	require.Equal(t, codes.Unimplemented, codeOf(err))
	s.position.cut()
	_, err = kv.Put(ctx, "key", "value")
	err = ofWrite(err)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, errCut.Error())
	assert.True(t, rule(err).again)
}

// A request that no connection has taken when its time ends was not sent.
func TestARequestWithoutAConnectionWasNotSent(t *testing.T) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"127.0.0.1:1"}, Logger: zap.NewNop()})
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = newKV(client).Put(ctx, "key", "value")
	err = ofWrite(ended(ctx, err))
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrUnknown)
}

// The link ends between the look for a write and the end of the wait for it. The next history does
// not have the write.
func TestALookHoldsForItsLinkOnly(t *testing.T) {
	cluster, looks := history{1, 12, map[int64]string{10: "2"}}, 0
	var s *session
	s, ctx := following(t, func(key string, rev int64) *clientv3.GetResponse {
		answer := cluster.get(key, rev)
		if looks++; looks == 1 {
			s.position.cut()
			s.reached(t.Context())
			cluster.values = map[int64]string{9: "1"}
		}
		return answer
	})
	connected(t, s.Store)
	at := s.position.receipt(place{1, 10})
	s.position.cut()
	s.reached(ctx)
	err := s.visible(ctx, at, change{key: "a", value: "2"})
	require.ErrorIs(t, err, errNotThere)
	assert.Greater(t, looks, 1)
}

// A client with two endpoints takes them in turn, and one does not answer.
func TestALookAsksTheNextEndpoint(t *testing.T) {
	for _, endpoints := range []int{1, 2} {
		s, _ := following(t, nil)
		connected(t, s.Store)
		s.client.SetEndpoints(slices.Repeat(s.client.Endpoints(), endpoints)...)
		asked := 0
		s.kv = hanging{answers{get: history{1, 10, map[int64]string{9: "1"}}.get}, func() bool { asked++; return asked == 1 }}
		s.chosen.timeout = 10 * time.Millisecond
		_, err := s.look(t.Context(), "a", 0)
		if endpoints == 1 {
			require.ErrorIs(t, err, errTimeout)
		} else {
			require.NoError(t, err)
		}
		assert.Equal(t, endpoints, asked)
	}
}

// hanging is a KV of which some reads get no answer.
type hanging struct {
	answers
	hangs func() bool
}

func (h hanging) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if h.hangs() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.answers.Get(ctx, key, opts...)
}

// The link of a try ends while the Update waits for the write that the try has met. The Update goes on.
func TestAnUpdateGoesOnAfterItsLink(t *testing.T) {
	s, ctx := following(t, history{1, 10, map[int64]string{9: "1"}}.get)
	connected(t, s.Store)
	old := s.position.receipt(place{1, 11})
	s.position.cut()
	s.reached(ctx)
	u := &update{store: s.Store}
	require.NoError(t, u.catchUp(ctx, old, 1, 0), "the next try")

	_, reading := s.position.place()
	lost := newTx(nil, place{1, 10}, reading)
	_, won, err := u.overtaken(ctx, lost, old, ErrUnknown)
	require.NoError(t, err, "the copy of a lost try was refused, and the try is dead")
	assert.False(t, won)
}

// A link ends with the connection, and not with a check that fails.
func TestALinkEndsByACut(t *testing.T) {
	p := newPosition()
	link, _ := p.linked()
	p.follow(t.Context())
	assert.True(t, p.isOn(link))
	p.unfollow()
	assert.False(t, p.isOn(link))
	require.NoError(t, link.Err())
	p.follow(t.Context())
	assert.True(t, p.isOn(link))

	request, release := whileLinked(t.Context(), link)
	defer release()
	before := p.receipt(place{1, 11})
	w := p.enlist(before, false)
	p.cut()
	require.Equal(t, errCut, <-w.done, "waits end, too")
	require.Equal(t, errCut, <-p.enlist(before, false).done, "and those that come late")
	<-request.Done()
	assert.Equal(t, errCut, reasonOf(request))
	p.follow(t.Context())
	assert.False(t, p.isOn(link))
	next, _ := p.linked()
	assert.True(t, p.isOn(next))
}

// A write that waited in a group as the link ended waits for the next. One that was sent is unknown.
func TestTheEndOfALinkIsNotTheEndOfAWriteThatWaits(t *testing.T) {
	assert.True(t, rule(unsent(errCut)).again)
	assert.False(t, rule(errCut).again)
	assert.ErrorIs(t, ofWrite(errCut), ErrUnknown)
}

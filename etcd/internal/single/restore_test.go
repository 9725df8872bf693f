package single

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/windevkay/forge/genie/etcd"
)

// answered has the calls of a method tell when the first has its answer.
func answered(method string) (grpc.DialOption, <-chan struct{}) {
	done := make(chan struct{})
	tell := sync.OnceFunc(func() { close(done) })
	return calls("KV/"+method, func(ctx context.Context, send func(context.Context) error) error {
		defer tell()
		return send(ctx)
	}), done
}

// writes has a write for each method of a KV.
var writes = map[string]func(ctx context.Context, s *etcd.Store) error{
	"Put":         func(ctx context.Context, s *etcd.Store) error { return s.Set(ctx, "mine", "x") },
	"DeleteRange": func(ctx context.Context, s *etcd.Store) error { return s.Delete(ctx, "key003") },
	"Txn": func(ctx context.Context, s *etcd.Store) error {
		return s.Update(ctx, func(tx *etcd.Tx) error { tx.Set("mine", "x"); return nil })
	},
}

// unseen has a write be acknowledged while no event comes to the Store, then calls next, and returns
// the result of the write.
func (c *cluster) unseen(method string, write func(ctx context.Context, s *etcd.Store) error, next func(*etcd.Store), opts ...grpc.DialOption) (*etcd.Store, error) {
	ctx, events := c.t.Context(), new(gate)
	requests, done := answered(method)
	s, err := etcd.Open(ctx, dial(c.t, c.proxy.address(), append(opts, events.option(), requests)...), prefix, etcd.WithTimeout(20*time.Second))
	require.NoError(c.t, err)
	c.t.Cleanup(func() { s.Close() })
	events.hold()
	result := make(chan error, 1)
	go func() { result <- write(ctx, s) }()
	<-done
	next(s)
	defer events.release()
	return s, <-result
}

// A write was applied, and before it is visible its cluster stops. If the cluster comes back, the
// write is visible. If an older backup comes back in its place, with the same ID, the revision of the
// write is another write there, or not there yet.
func TestAWriteBeforeARestore(t *testing.T) {
	for method, write := range writes {
		for cluster, test := range map[string]struct {
			restored bool
			more     int // writes after the restore
		}{
			"the same cluster":     {false, 100},
			"with more revisions":  {true, 100},
			"with fewer revisions": {true, 0},
		} {
			t.Run(method+", "+cluster, func(t *testing.T) {
				t.Parallel() // it mostly waits for servers to stop
				c := newCluster(t)
				c.fill(30)
				kept := c.backup()
				s, err := c.unseen(method, write, func(*etcd.Store) {
					c.stop()
					if test.restored {
						c.folder = kept
					}
					c.start()
					for i := range test.more {
						c.put(name(i), "x")
					}
				})
				if test.restored {
					require.ErrorIs(t, err, etcd.ErrNotVisible)
				} else {
					require.NoError(t, err)
				}
				c.follows(s)
			})
		}
	}
}

// A Delete that has found nothing says nothing about a cluster that was restored since.
func TestADeleteOfNothingBeforeARestore(t *testing.T) {
	c := newCluster(t)
	c.fill(30)
	kept := c.backup()
	nothing := func(ctx context.Context, s *etcd.Store) error {
		if _, err := c.direct.Delete(ctx, prefix+"key003"); err != nil {
			return err
		}
		return s.Delete(ctx, "key003")
	}
	s, err := c.unseen("DeleteRange", nothing, func(*etcd.Store) {
		c.stop()
		c.folder = kept
		c.start()
		for i := range 100 {
			c.put(name(i), "x")
		}
	})
	require.NoError(t, err)
	_, there := s.Get("key003")
	assert.False(t, there)
	c.follows(s)
}

// The connection breaks before the write is visible, and the look for the write gets no answer. The
// write was applied, so its error is not that of the look.
func TestALookForAWriteThatHangs(t *testing.T) {
	looks := grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
		conn *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if r, ok := request.(*etcdserverpb.RangeRequest); ok && string(r.Key) == prefix+"mine" && len(r.RangeEnd) == 0 {
			return status.Error(codes.Unavailable, "the look fails")
		}
		return invoker(ctx, method, request, reply, conn, opts...)
	})
	c := newCluster(t)
	_, err := c.unseen("Put", writes["Put"], func(*etcd.Store) {
		c.proxy.breakAll()
		c.put("more", "x")
	}, looks)
	require.ErrorIs(t, err, etcd.ErrNotVisible)
	assert.NotErrorIs(t, err, etcd.ErrUnavailable)
	assert.NotErrorIs(t, err, etcd.ErrUnknown)
}

// The connection breaks before the write is visible, and meanwhile the cluster forgets the history
// that would show it. Nothing proves then that the write is there.
func TestAWriteThatTheClusterHasForgotten(t *testing.T) {
	for method, write := range writes {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.fill(10)
			s, err := c.unseen(method, write, func(*etcd.Store) {
				c.proxy.refuse()
				c.put("mine", "y")
				c.put("", "the token of another process")
				c.compact(t.Context())
				c.proxy.admit("")
			})
			require.ErrorIs(t, err, etcd.ErrNotVisible)
			assert.ErrorContains(t, err, "compacted")
			c.follows(s)
		})
	}
}

// backup returns a copy of what the cluster has. The cluster stops for that.
func (c *cluster) backup() (folder string) {
	c.stop()
	defer c.start()
	return c.keep()
}

// swap puts an older backup in the place of the cluster, and returns a copy of what the cluster had.
func (c *cluster) swap(older string) (newer string) {
	c.stop()
	newer, c.folder = c.keep(), older
	c.start()
	return newer
}

// Many callers write while the cluster is restored from older backups, again and again. A Set that
// returns nil is visible, if the cluster has it at all.
func TestSetsOverRestores(t *testing.T) {
	c := newCluster(t)
	c.fill(30)
	kept := c.backup()
	s, err := etcd.Open(t.Context(), dial(t, c.proxy.address()), prefix, etcd.WithTimeout(5*time.Second))
	require.NoError(t, err)
	defer s.Close()
	for range 3 {
		for i := range 300 {
			c.put(name(i), "x")
		}
		var missing sync.Map // keys that Get did not show after a nil
		c.beside(s, func() { kept = c.swap(kept) }, func(int) {
			key := fmt.Sprint("set", numbered.Add(1))
			err := s.Set(t.Context(), key, "x")
			if _, there := s.Get(key); err == nil && !there {
				missing.Store(key, nil)
			}
		})
		c.follows(s)
		have := c.contents()
		for key := range missing.Range {
			assert.NotContains(t, have, key, "the Set returned nil, the cluster has it, and Get did not")
		}
	}
}

// beside calls work from 64 goroutines while a function runs, and until each may have met both what
// was before the function and what is after it. work gets the number of its goroutine.
func (c *cluster) beside(s *etcd.Store, f func(), work func(i int)) {
	c.t.Helper()
	const goroutines = 64
	ctx, stop := context.WithCancel(c.t.Context())
	var calls atomic.Int64
	var working sync.WaitGroup
	for i := range goroutines {
		working.Go(func() {
			for ctx.Err() == nil {
				work(i)
				calls.Add(1)
			}
		})
	}
	more := func() {
		from := calls.Load()
		eventually(c.t, func() bool { return s.Stats().Following && calls.Load() > from+4*goroutines }, "calls go on")
	}
	more()
	f()
	more()
	stop()
	working.Wait()
}

var numbered atomic.Int64 // numbers keys

// Each Update adds 1 to a counter. In no history is a counter followed by another number: an Update
// that has read one history is not applied to another.
func TestUpdatesOverRestores(t *testing.T) {
	c := newCluster(t)
	for i := range 64 {
		c.put(fmt.Sprint("n", i), "0")
	}
	kept := c.backup()
	s, err := etcd.Open(t.Context(), dial(t, c.proxy.address()), prefix, etcd.WithTimeout(5*time.Second))
	require.NoError(t, err)
	defer s.Close()
	for range 3 {
		c.beside(s, func() { kept = c.swap(kept) }, func(i int) {
			s.Update(t.Context(), increment(fmt.Sprint("n", i)))
		})
		c.requireCounted()
	}
}

// requireCounted checks the history of the counters.
func (c *cluster) requireCounted() {
	c.t.Helper()
	c.put("n-end", "")
	last := make(map[string]int)
	for response := range c.direct.Watch(c.t.Context(), prefix+"n", clientv3.WithPrefix(), clientv3.WithRev(1)) {
		for _, event := range response.Events {
			key := string(event.Kv.Key[len(prefix):])
			if key == "n-end" && event.Kv.ModRevision == response.Header.Revision {
				return
			}
			n, err := strconv.Atoi(string(event.Kv.Value))
			if was, there := last[key]; there && err == nil {
				require.Equal(c.t, was+1, n, key)
			}
			last[key] = n
		}
	}
}

// A gateway between client and server answers Canceled or DeadlineExceeded after the server has
// applied the write. The client of etcd would send it again.
func TestAWriteIsSentOnce(t *testing.T) {
	for _, code := range []codes.Code{codes.Canceled, codes.DeadlineExceeded} {
		for method, write := range writes {
			t.Run(fmt.Sprint(code, " ", method), func(t *testing.T) {
				var came atomic.Int64
				c := newCluster(t, served("KV/"+method, func(ctx context.Context, send func(context.Context) error) error {
					came.Add(1)
					send(ctx)
					return status.Error(code, "of a gateway")
				}))
				s := c.open()
				err := write(t.Context(), s)
				if method == "Txn" && err == nil {
					return // its token tells
				}
				require.ErrorIs(t, err, etcd.ErrUnknown)
				require.EqualValues(t, 1, came.Load())
			})
		}
	}
}

// A leaderless is in a client, and has watches and reads fail from fail on, as they do at a server
// that has no leader any more, until mend.
type leaderless struct {
	fails atomic.Bool
	now   chan struct{} // closed by fail
}

func (l *leaderless) fail() {
	l.fails.Store(true)
	close(l.now)
}

func (l *leaderless) options() []grpc.DialOption {
	reads := calls("KV/Range", func(ctx context.Context, send func(context.Context) error) error {
		if l.fails.Load() {
			return rpctypes.ErrGRPCNoLeader
		}
		return send(ctx)
	})
	watches := grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn,
		method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		if l.fails.Load() {
			return nil, rpctypes.ErrGRPCNoLeader
		}
		stream, err := streamer(ctx, desc, conn, method, opts...)
		select {
		case <-l.now:
			return stream, err
		default:
			return &failingStream{stream, l}, err
		}
	})
	return []grpc.DialOption{reads, watches}
}

type failingStream struct {
	grpc.ClientStream
	of *leaderless
}

// RecvMsg fails as soon as the server has no leader, also while it waits for a message.
func (s *failingStream) RecvMsg(message any) error {
	done := make(chan error, 1)
	go func() { done <- s.ClientStream.RecvMsg(message) }()
	select {
	case <-s.of.now:
		return rpctypes.ErrGRPCNoLeader
	case err := <-done:
		return err
	}
}

// The watch ends for another reason before the connection breaks, so no session is there when that
// happens. An older backup comes back, as in TestAWriteBeforeARestore.
func TestABreakBetweenSessions(t *testing.T) {
	for method, write := range writes {
		t.Run(method, func(t *testing.T) {
			t.Parallel() // it mostly waits for servers to stop
			c := newCluster(t)
			c.fill(30)
			kept := c.backup()
			l := &leaderless{now: make(chan struct{})}
			s, err := c.unseen(method, write, func(s *etcd.Store) {
				l.fail()
				eventually(t, func() bool { return s.Stats().LastError != nil }, "the session has ended")
				c.stop()
				c.folder = kept
				c.start()
				for i := range 100 {
					c.put(name(i), "x")
				}
				l.fails.Store(false)
			}, l.options()...)
			require.ErrorIs(t, err, etcd.ErrNotVisible)
			c.follows(s)
		})
	}
}

// A server that closes each connection in order after half a second answers all that was sent before.
func TestConnectionsThatAreClosedInOrder(t *testing.T) {
	c := newCluster(t, func(config *embed.Config) {
		config.GRPCAdditionalServerOptions = append(config.GRPCAdditionalServerOptions,
			grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 500 * time.Millisecond, MaxConnectionAgeGrace: 10 * time.Second}))
	})
	s := c.open(etcd.WithTimeout(5 * time.Second))
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	var sets, unknown atomic.Int64
	require.NoError(t, inParallel(16, func(i int) error {
		for ctx.Err() == nil {
			sets.Add(1)
			switch err := s.Set(t.Context(), name(i), "x"); {
			case errors.Is(err, etcd.ErrUnknown):
				unknown.Add(1)
			case err != nil:
				return err
			}
		}
		return nil
	}))
	t.Logf("%d of %d Sets are unknown", unknown.Load(), sets.Load())
	assert.Less(t, unknown.Load(), sets.Load()/1000+1)
}

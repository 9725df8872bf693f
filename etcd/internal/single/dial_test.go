package single

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// quick has a client dial again after at most a tenth of a second, where gRPC waits for two
// minutes in the end.
var quick = grpc.WithConnectParams(grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, MaxDelay: 100 * time.Millisecond},
	MinConnectTimeout: time.Second,
})

// calls has a client pass its requests of one method, such as "KV/Txn", through f. f gets the
// request itself, which it may send.
func calls(method string, f func(ctx context.Context, send func(context.Context) error) error) grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, called string, request, reply any,
		conn *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		send := func(ctx context.Context) error { return invoker(ctx, called, request, reply, conn, opts...) }
		if called != "/etcdserverpb."+method {
			return send(ctx)
		}
		return f(ctx, send)
	})
}

// served has the calls of a method at a server go through f, which may send the request to the server
// late, or not at all, and answer something else.
func served(method string, f func(ctx context.Context, send func(context.Context) error) error) func(*embed.Config) {
	return func(config *embed.Config) {
		config.GRPCAdditionalServerOptions = append(config.GRPCAdditionalServerOptions, grpc.ChainUnaryInterceptor(
			func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
				if info.FullMethod != "/etcdserverpb."+method {
					return handler(ctx, request)
				}
				var once sync.Once
				err = f(ctx, func(ctx context.Context) error {
					late, failure := handler(ctx, request)
					once.Do(func() { answer = late })
					return failure
				})
				once.Do(func() {}) // an answer that comes late is not looked at
				return answer, err
			}))
	}
}

// A gate is in a client, and keeps the streams that are open when it holds, which are those of
// watches, from giving their messages. Streams that are opened later are free.
type gate struct{ held atomic.Pointer[chan struct{}] }

func (g *gate) hold() {
	until := make(chan struct{})
	g.held.Store(&until)
}

func (g *gate) release() { close(*g.held.Load()) }

func (g *gate) option() grpc.DialOption {
	return grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn,
		method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		stream, err := streamer(ctx, desc, conn, method, opts...)
		return &gatedStream{stream, g, g.held.Load() == nil}, err
	})
}

type gatedStream struct {
	grpc.ClientStream
	gate  *gate
	older bool // than the hold
}

func (s *gatedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if until := s.gate.held.Load(); s.older && until != nil {
		select {
		case <-*until:
		case <-s.Context().Done():
		}
	}
	return err
}

// A slowEvents is in a client, and gives each response with events late while it is on.
type slowEvents struct {
	on    atomic.Bool
	after time.Duration
}

func (e *slowEvents) option() grpc.DialOption {
	return grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn,
		method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		stream, err := streamer(ctx, desc, conn, method, opts...)
		return &slowStream{stream, e}, err
	})
}

type slowStream struct {
	grpc.ClientStream
	slow *slowEvents
}

func (s *slowStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if r, ok := message.(*etcdserverpb.WatchResponse); ok && len(r.Events) > 0 && s.slow.on.Load() {
		select {
		case <-time.After(s.slow.after):
		case <-s.Context().Done():
		}
	}
	return err
}

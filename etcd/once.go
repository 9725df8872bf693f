package etcd

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// newKV returns a KV of the connection of a client, which sends each write once, and none after the
// end of its link. See withLink.
func newKV(c *clientv3.Client) clientv3.KV {
	return clientv3.NewKVFromKVClient(once{clientv3.RetryKVClient(c)}, c)
}

// A once sends each write once. The client of etcd sends any request again after an answer of
// Canceled or DeadlineExceeded, as a gateway between the client and the server may give it, while
// the context of the request lives (v3.7.3, retry_interceptor.go). The server may have applied the
// first. So such an answer ends the context.
type once struct{ etcdserverpb.KVClient }

// Put is that of the interface.
func (o once) Put(ctx context.Context, r *etcdserverpb.PutRequest, opts ...grpc.CallOption) (*etcdserverpb.PutResponse, error) {
	return sendOnce(ctx, r, opts, o.KVClient.Put)
}

// DeleteRange is that of the interface.
func (o once) DeleteRange(ctx context.Context, r *etcdserverpb.DeleteRangeRequest, opts ...grpc.CallOption) (*etcdserverpb.DeleteRangeResponse, error) {
	return sendOnce(ctx, r, opts, o.KVClient.DeleteRange)
}

// Txn is that of the interface.
func (o once) Txn(ctx context.Context, r *etcdserverpb.TxnRequest, opts ...grpc.CallOption) (*etcdserverpb.TxnResponse, error) {
	return sendOnce(ctx, r, opts, o.KVClient.Txn)
}

// sendOnce sends a request. The error of one that did not come to a connection is errUnsent.
func sendOnce[R, A any](ctx context.Context, r R, opts []grpc.CallOption, send func(context.Context, R, ...grpc.CallOption) (A, error)) (A, error) {
	sending, end := context.WithCancel(ctx)
	defer end()
	t := newTicket(ctx)
	answer, err := send(sending, r, append(slices.Clip(opts), grpc.PerRPCCredentials(t), grpc.OnFinish(func(err error) {
		switch status.Code(err) {
		case codes.Canceled, codes.DeadlineExceeded:
			end()
		}
	}))...)
	if err != nil && t.withdraw() {
		err = unsent(ended(ctx, err))
	}
	return answer, err
}

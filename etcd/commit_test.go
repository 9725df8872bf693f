package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// An office is a committer with a cluster that the test plays: requests are answered when the test
// says so. It is for one synctest bubble.
type office struct {
	clientv3.KV
	t        *testing.T
	commits  *committer
	requests chan *asked
	groups   atomic.Int32 // that are under way
	notReady error        // of begin
	end      context.CancelCauseFunc
}

// An asked is a request that the cluster has got.
type asked struct {
	ops   []clientv3.Op // one if the write was sent by itself
	group bool
	reply chan error
}

// inOffice calls test in a bubble, and closes the committer afterwards.
func inOffice(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancelCause(t.Context())
		o := &office{t: t, requests: make(chan *asked, 1000), end: end}
		s := &Store{kv: o, life: life, chosen: settings{timeout: 5 * time.Second}}
		o.commits = s.newCommitter()
		o.commits.begin = func() (context.Context, context.CancelFunc, error) {
			ctx, cancel := s.attempt(life)
			return ctx, cancel, o.notReady
		}
		test(t, o)
		end(ErrClosed)
		o.commits.close()
		synctest.Wait()
	})
}

func (o *office) Do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	header := &etcdserverpb.ResponseHeader{ClusterId: 1, Revision: 10}
	switch err := o.send(ctx, false, op); {
	case err != nil:
		return clientv3.OpResponse{}, err
	case op.IsDelete():
		return (&clientv3.DeleteResponse{Header: header, Deleted: 1}).OpResponse(), nil
	}
	return (&clientv3.PutResponse{Header: header}).OpResponse(), nil
}

func (o *office) send(ctx context.Context, group bool, ops ...clientv3.Op) error {
	r := &asked{ops, group, make(chan error, 1)}
	o.requests <- r
	select {
	case err := <-r.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *office) Txn(ctx context.Context) clientv3.Txn { return &officeTxn{office: o, ctx: ctx} }

type officeTxn struct {
	clientv3.Txn
	office *office
	ctx    context.Context
	ops    []clientv3.Op
}

func (x *officeTxn) Then(ops ...clientv3.Op) clientv3.Txn { x.ops = ops; return x }

// Commit answers with revision 20, and says of a deletion that its key was there unless the key
// is "missing".
func (x *officeTxn) Commit() (*clientv3.TxnResponse, error) {
	x.office.groups.Add(1)
	defer x.office.groups.Add(-1)
	if err := x.office.send(x.ctx, true, x.ops...); err != nil {
		return nil, err
	}
	answer := &clientv3.TxnResponse{Header: &etcdserverpb.ResponseHeader{ClusterId: 1, Revision: 20}, Succeeded: true}
	for _, op := range x.ops {
		response := &etcdserverpb.ResponseOp{Response: &etcdserverpb.ResponseOp_ResponsePut{ResponsePut: &etcdserverpb.PutResponse{}}}
		if op.IsDelete() {
			deleted := &etcdserverpb.DeleteRangeResponse{}
			if string(op.KeyBytes()) != "missing" {
				deleted.Deleted = 1
			}
			response.Response = &etcdserverpb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: deleted}
		}
		answer.Responses = append(answer.Responses, response)
	}
	return answer, nil
}

// A caller has called do.
type caller struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan outcome // capacity 1
}

type outcome struct {
	answer answer
	err    error
}

func (c *caller) waits() bool { return len(c.ended) == 0 }

// outcome returns what do has returned.
func (c *caller) outcome() outcome {
	c.t.Helper()
	require.False(c.t, c.waits(), "the caller still waits")
	return <-c.ended
}

// requireErrors checks that do has failed with all of some errors, and with no other sentinel.
func (c *caller) requireErrors(want ...error) {
	c.t.Helper()
	err := c.outcome().err
	for _, w := range want {
		require.ErrorIs(c.t, err, w)
	}
	for _, sentinel := range sentinels {
		require.Equal(c.t, slices.Contains(want, sentinel), errors.Is(err, sentinel), "%v: %v", err, sentinel)
	}
}

// call has a new caller send op, and returns when the caller waits or has its answer.
func (o *office) call(op clientv3.Op) *caller {
	ctx, cancel := context.WithCancel(o.t.Context())
	c := &caller{o.t, cancel, make(chan outcome, 1)}
	go func() {
		answer, err := o.commits.do(ctx, op)
		c.ended <- outcome{answer, ofWrite(ended(ctx, err))}
	}()
	synctest.Wait()
	return c
}

func (o *office) put(key string) *caller { return o.call(clientv3.OpPut(key, "value")) }

// busy has the requests that may be under way be there, and returns them.
func (o *office) busy() (requests []*asked) {
	for i := range maxUnderway {
		o.put(fmt.Sprint("busy", i))
		requests = append(requests, o.request())
	}
	return requests
}

// request returns the next request that the cluster has got.
func (o *office) request() *asked {
	o.t.Helper()
	select {
	case r := <-o.requests:
		return r
	default:
		require.Fail(o.t, "no request was sent")
		return nil
	}
}

func (o *office) noRequest() {
	o.t.Helper()
	require.Empty(o.t, o.requests)
}

// answer answers a request, and returns when all that follows has happened.
func (r *asked) answer(err error) {
	r.reply <- err
	synctest.Wait()
}

func (r *asked) keys() string {
	var keys []string
	for _, op := range r.ops {
		keys = append(keys, string(op.KeyBytes()))
	}
	return strings.Join(keys, " ")
}

func TestFewWritesAreSentAtOnce(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		for i := range maxUnderway {
			c := o.put(fmt.Sprint(i))
			defer func() { assert.Equal(t, outcome{answer: answer{at: place{1, 10}}}, c.outcome()) }()
		}
		for range maxUnderway {
			r := o.request()
			assert.False(t, r.group)
			r.answer(nil)
		}
	})
}

func TestWritesThatWaitTravelTogether(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		busy := o.busy()
		set, gone, missing := o.put("a"), o.call(clientv3.OpDelete("b")), o.call(clientv3.OpDelete("missing"))
		o.noRequest()
		busy[2].answer(nil)
		group := o.request()
		assert.True(t, group.group)
		assert.Len(t, group.ops, 3)
		assert.True(t, set.waits())
		group.answer(nil)
		assert.Equal(t, outcome{answer: answer{at: place{1, 20}}}, set.outcome())
		assert.Equal(t, outcome{answer: answer{place{1, 20}, true}}, gone.outcome())
		assert.Equal(t, outcome{answer: answer{place{1, 20}, false}}, missing.outcome())
		o.put("next")
		assert.False(t, o.request().group, "a request may be under way again")
	})
}

// A request that hangs holds up others for maxGather at most.
func TestAGroupDoesNotWaitForLong(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.busy()
		for range 3 {
			o.put("a")
			time.Sleep(maxGather - 1)
			o.put("b")
			synctest.Wait()
			o.noRequest()
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			assert.Len(t, o.request().ops, 2)
		}
	})
}

func TestAGroupThatWasLaunchedIsNotLaunchedByItsTimer(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		busy := o.busy()
		o.put("a")
		time.Sleep(maxGather / 2)
		busy[0].answer(nil)
		o.request()
		o.put("b")
		time.Sleep(maxGather - 1)
		synctest.Wait()
		o.noRequest()
	})
}

// A group is sent without waiting if another write does not fit.
func TestTheLimitsOfAGroup(t *testing.T) {
	for name, test := range map[string]struct {
		writes []clientv3.Op
		want   []int // writes of the groups
	}{
		"operations": {puts(maxGroup+1, "value"), []int{maxGroup, 1}},
		"bytes":      {puts(17, strings.Repeat("v", maxMemberBytes-200)), []int{8, 8, 1}},
		"one key":    {[]clientv3.Op{clientv3.OpPut("k", "1"), clientv3.OpPut("l", "1"), clientv3.OpDelete("k"), clientv3.OpPut("k", "2")}, []int{2, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				o.busy()
				for _, op := range test.writes {
					o.call(op)
				}
				for i, want := range test.want {
					if i == len(test.want)-1 {
						o.noRequest()
						time.Sleep(maxGather)
						synctest.Wait()
					}
					assert.Len(t, o.request().ops, want)
				}
				o.noRequest()
			})
		})
	}
}

func puts(n int, value string) (ops []clientv3.Op) {
	for i := range n {
		ops = append(ops, clientv3.OpPut(fmt.Sprint("key", i), value))
	}
	return ops
}

// A caller that gives up knows that nothing was written if its group was not sent.
func TestGivingUpAWriteThatWaits(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		busy := o.busy()
		first, second := o.put("a"), o.put("b")
		first.cancel()
		synctest.Wait()
		first.requireErrors(ErrUnavailable, context.Canceled)
		busy[0].answer(nil)
		group := o.request()
		assert.Equal(t, "b", group.keys())

		second.cancel()
		synctest.Wait()
		second.requireErrors(ErrUnknown, context.Canceled)
		assert.Empty(t, group.reply, "the group goes on without its caller")
	})
}

func TestAGroupWithoutWritesIsNotSent(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		busy := o.busy()
		o.put("a").cancel()
		synctest.Wait()
		busy[0].answer(nil)
		time.Sleep(2 * maxGather)
		synctest.Wait()
		o.noRequest()
		c := o.put("b")
		o.request().answer(nil)
		assert.NoError(t, c.outcome().err)
	})
}

// One write that the cluster refuses does not fail the others.
func TestWritesOfARefusedGroupAreSentAlone(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		busy := o.busy()
		callers := map[string]*caller{"good": o.put("good"), "bad": o.put("bad")}
		busy[0].answer(nil)
		o.request().answer(rpctypes.ErrPermissionDenied)
		for range callers {
			r := o.request()
			assert.False(t, r.group)
			if r.keys() == "bad" {
				r.answer(rpctypes.ErrPermissionDenied)
			} else {
				r.answer(nil)
			}
		}
		assert.Equal(t, outcome{answer: answer{at: place{1, 10}}}, callers["good"].outcome())
		callers["bad"].requireErrors(rpctypes.ErrPermissionDenied)
	})
}

// No write is sent again whose group may have been applied, and none to a cluster that has said
// that it cannot take any.
func TestWritesOfAGroupThatAreNotSentAgain(t *testing.T) {
	for _, cause := range []error{rpctypes.ErrTimeout, rpctypes.ErrNoSpace, rpctypes.ErrStopped, rpctypes.ErrNoLeader, rpctypes.ErrTooManyRequests} {
		t.Run(cause.Error(), func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				busy := o.busy()
				first, second := o.put("a"), o.put("b")
				busy[0].answer(nil)
				o.request().answer(cause)
				o.noRequest()
				for _, c := range []*caller{first, second} {
					err := c.outcome().err
					require.ErrorIs(t, err, cause)
					require.ErrorIs(t, err, rule(cause).kind)
				}
			})
		})
	}
}

// A server with a lower limit than usual gets groups that it takes.
func TestGroupsBecomeSmaller(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		fits := func(r *asked) error {
			if len(r.ops) > 5 {
				return rpctypes.ErrTooManyOps
			}
			return nil
		}
		var callers []*caller
		for range 10 {
			for _, op := range puts(20, "value") {
				callers = append(callers, o.call(op))
			}
			for len(o.requests) > 0 {
				r := o.request()
				r.answer(fits(r))
			}
		}
		for _, c := range callers {
			require.NoError(t, c.outcome().err)
		}
		assert.LessOrEqual(t, o.commits.most, 5)
		assert.Equal(t, maxGroupBytes, o.commits.mostBytes)
	})
}

// The same for bytes.
func TestGroupsHaveFewerBytes(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		const each = 10 << 10
		fits := func(r *asked) error {
			if len(r.ops) > 5 {
				return rpctypes.ErrRequestTooLarge
			}
			return nil
		}
		refused := 0
		for range 10 {
			for _, op := range puts(20, strings.Repeat("v", each)) {
				o.call(op)
			}
			for len(o.requests) > 0 {
				r := o.request()
				if r.group && fits(r) != nil {
					refused++
				}
				r.answer(fits(r))
			}
		}
		assert.Less(t, refused, 5)
		assert.Equal(t, maxGroup, o.commits.most)
		assert.InDelta(t, 3*each, o.commits.mostBytes, 2*each)
	})
}

// A write that may be too large for the server is not in a group, which would be refused with it.
func TestALargeWriteIsSentAtOnce(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.busy()
		small := o.put("small")
		large := o.call(clientv3.OpPut("large", strings.Repeat("v", maxMemberBytes)))
		r := o.request()
		assert.Equal(t, "large", r.keys())
		assert.False(t, r.group)
		assert.True(t, small.waits())
		r.answer(nil)
		require.NoError(t, large.outcome().err)
	})
}

// Before its group is sealed, a write can be withdrawn also while the group waits for the cluster.
func TestGivingUpAWriteWhoseGroupWaitsForTheCluster(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		busy := o.busy()
		begin := o.commits.begin
		o.commits.begin = func() (context.Context, context.CancelFunc, error) {
			time.Sleep(4 * time.Second) // the client is not connected
			return begin()
		}
		first, second := o.put("a"), o.put("b")
		busy[0].answer(nil)
		first.cancel()
		synctest.Wait()
		first.requireErrors(ErrUnavailable, context.Canceled)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		r := o.request()
		assert.Equal(t, "b", r.keys())
		r.answer(nil)
		require.NoError(t, second.outcome().err)
	})
}

// A caller that gives up takes its own write out, and not that of another caller for the same key.
func TestGivingUpLeavesTheWriteOfAnother(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.busy()
		first := o.put("a")
		second := o.put("a") // launches the group of the first
		o.request()
		first.cancel()
		synctest.Wait()
		first.requireErrors(ErrUnknown, context.Canceled)
		time.Sleep(maxGather)
		synctest.Wait()
		o.request().answer(nil)
		require.NoError(t, second.outcome().err)
	})
}

// The bytes of a write that was withdrawn are room for another.
func TestAWriteThatWasWithdrawnLeavesRoom(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.busy()
		o.put("small")
		for range 20 {
			o.call(clientv3.OpPut("large", strings.Repeat("v", maxMemberBytes-200))).cancel()
			synctest.Wait()
		}
		o.noRequest()
	})
}

// If the replica loses the cluster while a group waits, the group is not sent: the next cluster may
// be another.
func TestAGroupIsNotSentToAClusterThatIsNotFollowed(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		busy := o.busy()
		c := o.put("a")
		o.notReady = errTimeout
		busy[0].answer(nil)
		o.noRequest()
		c.requireErrors(ErrUnavailable, context.DeadlineExceeded)
	})
}

func TestAGroupEndsWithItsTime(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		busy := o.busy()
		c := o.put("a")
		busy[0].answer(nil)
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		assert.True(t, c.waits())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		c.requireErrors(ErrUnknown, errTimeout)
	})
}

// A Close ends what waits as unsent, and what is under way as unknown. The bubble ends only if no
// goroutine is left.
func TestCloseEndsGroups(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		busy := o.busy()
		sent := o.put("a")
		busy[0].answer(nil)
		waits := o.put("b")
		o.end(ErrClosed)
		o.commits.close()
		assert.Zero(t, o.groups.Load(), "close waits")
		synctest.Wait()
		sent.requireErrors(ErrUnknown, ErrClosed)
		waits.requireErrors(ErrUnavailable, ErrClosed)
		o.put("c").requireErrors(ErrUnavailable, ErrClosed)
		for _, r := range busy[1:] {
			r.answer(nil)
		}
	})
}

package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A committer sends writes of many callers to the cluster by group commit, as databases do it with
// their logs. While fewer than maxUnderway requests are under way, a write is sent at once. A later
// write waits for the next answer, and all writes that wait travel together, in one transaction. So
// many callers cost the cluster few proposals, syncs and messages to each watch, and a few callers
// wait for nothing (BenchmarkSet).
//
// A group is no transaction of the user: if the cluster refuses the group, each write of it is
// sent again by itself, and has an answer of its own.
//
// A goroutine that owned the group would cost each write two hand-offs more, from the caller to that
// goroutine and back.
type committer struct {
	kv clientv3.KV

	// begin returns a context for the request of a group, which no caller may cancel, once the
	// group may be sent.
	begin func() (context.Context, context.CancelFunc, error)

	sending sync.WaitGroup // the goroutines of groups

	mu       sync.Mutex
	underway int // requests with one write or a group
	closed   bool

	// The limits of a group become smaller when the server refuses a group, and stay so.
	most, mostBytes int

	// next has the writes that wait, or is nil if none does.
	// Invariant: while next is there, underway is at least maxUnderway.
	next *group
}

const (
	// maxUnderway is not larger because a request costs the cluster about as much as a group. With
	// 1, a few callers would wait for each other's answers. With 4, up to 8 callers take the time
	// that they take without groups. It is no bound: a group that is full or has waited for
	// maxGather is sent, too, and so are large writes and the writes of a group that was refused.
	maxUnderway = 4

	// maxGroup and maxGroupBytes are below the limits of a server that was not told otherwise:
	// 128 operations and 1.5 MiB.
	maxGroup      = 100
	maxGroupBytes = 512 << 10

	// leastGroup and leastGroupBytes keep a refusal that was due to another reason from ending
	// groups for good.
	leastGroup      = 4
	leastGroupBytes = 4 << 10

	// maxMemberBytes is the largest write of a group. A group saves little of the cost of a larger
	// write, and one that is too large for the server would have its whole group refused.
	maxMemberBytes = maxGroupBytes / 8

	// maxGather is how long a group waits for the answer to another request. With an endpoint
	// that hangs, four requests can be without an answer for long, and must not hold up the rest.
	maxGather = 10 * time.Millisecond
)

// errUnsent is in the error of a write that was never sent.
var errUnsent = fmt.Errorf("%w: not sent", ErrUnavailable)

func unsent(reason error) error { return fmt.Errorf("%w: %w", errUnsent, reason) }

func (s *Store) newCommitter() *committer {
	begin := func() (context.Context, context.CancelFunc, error) {
		ctx, cancel := s.attempt(s.life)
		link, err := s.ready(ctx)
		if err != nil {
			return ctx, cancel, err
		}
		return withLink(ctx, link), cancel, nil
	}
	return &committer{kv: s.kv, begin: begin, most: maxGroup, mostBytes: maxGroupBytes}
}

// An answer is that of the cluster to a write that it has applied.
type answer struct {
	at    place
	found bool // a deletion has found its key
}

// do sends a write, alone or with others, and returns the answer.
func (c *committer) do(ctx context.Context, op clientv3.Op) (answer, error) {
	w := c.enlist(op)
	if w == nil {
		defer c.answered()
		return c.doAlone(ctx, op)
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		switch {
		case c.withdraw(w):
			return answer{}, unsent(reasonOf(ctx))
		case !w.hasEnded():
			return answer{}, reasonOf(ctx) // its group is under way
		}
	}
	switch {
	case !w.alone:
		return w.answer, w.err
	case ctx.Err() != nil:
		return answer{}, unsent(reasonOf(ctx)) // its group was refused
	}
	return c.doAlone(ctx, op)
}

func (c *committer) doAlone(ctx context.Context, op clientv3.Op) (answer, error) {
	response, err := c.kv.Do(ctx, op)
	switch {
	case err != nil:
		return answer{}, err
	case op.IsDelete():
		return answer{placeOf(response.Del().Header), response.Del().Deleted > 0}, nil
	}
	return answer{at: placeOf(response.Put().Header)}, nil
}

// enlist has op wait in the next group. It returns nil if op need not wait. The caller then sends
// op, and calls answered.
func (c *committer) enlist(op clientv3.Op) *write {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &write{op: op, done: make(chan struct{})}
	switch {
	case c.closed:
		w.end(answer{}, unsent(ErrClosed))
		return w
	case c.underway < maxUnderway, bytesOf(op) > maxMemberBytes:
		c.underway++
		return nil
	case c.next != nil && !c.next.hasRoomFor(op, c.most, c.mostBytes):
		c.launch()
	}
	if c.next == nil {
		c.next = c.newGroup()
	}
	c.next.add(w)
	return w
}

// answered ends a request, and launches the group that has waited for that.
func (c *committer) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.underway--
	if c.next != nil {
		c.launch()
	}
}

// launch sends the next group. The caller holds c.mu.
func (c *committer) launch() {
	g := c.take()
	c.underway++
	c.sending.Go(func() {
		defer c.answered()
		c.send(g)
	})
}

// take returns the next group and leaves none. The caller holds c.mu.
func (c *committer) take() *group {
	g := c.next
	c.next = nil
	g.late.Stop()
	return g
}

// withdraw takes a write out of its group, and reports whether the group was not sent yet.
func (c *committer) withdraw(w *write) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.group.remove(w) {
		return false
	}
	if w.group == c.next && len(c.next.writes) == 0 {
		c.take()
	}
	return true
}

// send has the cluster apply a group, and ends its writes.
func (c *committer) send(g *group) {
	ctx, cancel, err := c.begin()
	defer cancel()
	writes, ops := c.seal(g)
	switch {
	case len(writes) == 0:
		return // a transaction without operations would be a request for nothing
	case err != nil:
		c.failed(writes, unsent(err))
		return
	}
	response, err := c.kv.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		c.failed(writes, ended(ctx, err))
		return
	}
	for i, w := range writes {
		deletion := response.Responses[i].GetResponseDeleteRange()
		w.end(answer{placeOf(response.Header), deletion.GetDeleted() > 0}, nil)
	}
}

// seal ends the time in which writes can be withdrawn from a group, and returns those that are left.
func (c *committer) seal(g *group) (writes []*write, ops []clientv3.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g.sealed = true
	return g.operations()
}

// failed ends the writes of a group that was refused, or whose outcome is unknown. Where the
// refusal may be due to another write of the group, each write is sent again by itself.
func (c *committer) failed(writes []*write, err error) {
	r := rule(err)
	if r.kind == ErrTooLarge && len(writes) > 1 {
		c.limit(writes, errors.Is(err, rpctypes.ErrTooManyOps))
	}
	alone := r.refused && !r.again
	for _, w := range writes {
		w.alone = alone
		w.end(answer{}, err)
	}
}

// limit makes groups half as large as one that was refused, for a server with lower limits than usual.
func (c *committer) limit(refused []*write, tooMany bool) {
	bytes := 0
	for _, w := range refused {
		bytes += bytesOf(w.op)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if tooMany {
		c.most = min(c.most, max(len(refused)/2, leastGroup))
	} else {
		c.mostBytes = min(c.mostBytes, max(bytes/2, leastGroupBytes))
	}
}

// close ends the writes that wait, and those to come. It returns when no goroutine is left, which
// is when the groups that are under way have ended: by a Close, at once.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	if c.next != nil {
		for _, w := range c.take().writes {
			w.end(answer{}, unsent(ErrClosed))
		}
	}
	c.mu.Unlock()
	c.sending.Wait()
}

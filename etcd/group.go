package etcd

import (
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A group is the writes of one transaction. The mutex of its committer protects it.
type group struct {
	// writes have different keys: etcd refuses to write a key twice in a transaction. So their
	// order means nothing.
	writes map[string]*write
	bytes  int
	late   *time.Timer // launches the group after maxGather
	sealed bool        // the writes are being sent
}

// A write is one operation, whose caller waits for done.
type write struct {
	op    clientv3.Op
	group *group        // nil for a write that came after a Close
	done  chan struct{} // closed by end

	// Written by end, before done is closed.
	answer answer
	err    error

	alone bool // the write was refused together with others, and is to be sent again
}

func (w *write) end(a answer, err error) {
	w.answer, w.err = a, err
	close(w.done)
}

func (w *write) hasEnded() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// newGroup returns an empty group, which is launched after maxGather unless it was before.
func (c *committer) newGroup() *group {
	g := &group{writes: make(map[string]*write)}
	g.late = time.AfterFunc(maxGather, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.next == g {
			c.launch()
		}
	})
	return g
}

func (g *group) hasRoomFor(op clientv3.Op, most, mostBytes int) bool {
	_, same := g.writes[string(op.KeyBytes())]
	return !same && len(g.writes) < most && g.bytes+bytesOf(op) <= mostBytes
}

func (g *group) add(w *write) {
	w.group = g
	g.writes[string(w.op.KeyBytes())] = w
	g.bytes += bytesOf(w.op)
}

// remove takes w out, and reports whether it was there and not sealed. g may be nil.
func (g *group) remove(w *write) bool {
	key := string(w.op.KeyBytes())
	if g == nil || g.sealed || g.writes[key] != w {
		return false
	}
	delete(g.writes, key)
	g.bytes -= bytesOf(w.op)
	return true
}

// operations returns the writes, and their operations in the same order.
func (g *group) operations() (writes []*write, ops []clientv3.Op) {
	for _, w := range g.writes {
		writes, ops = append(writes, w), append(ops, w.op)
	}
	return writes, ops
}

// bytesOf returns about how many bytes op takes in a request.
func bytesOf(op clientv3.Op) int { return ofEntry + len(op.KeyBytes()) + len(op.ValueBytes()) }

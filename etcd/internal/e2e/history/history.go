// Package history records the calls that many goroutines make to the replicas of one keyspace,
// and searches for one order of all calls that explains every result: the keyspace is then
// linearizable.
//
// A value may have been written for a time, by a lease of etcd. Then the search may also place the
// end of the entry anywhere, but never before that time has passed, nor after another write of the
// key. See [state].
//
// The keys of a history come in pairs, each pair a [Group] of its own. A call reads both keys of
// a group or none, and writes both, one or none. So the check also sees an update that was torn,
// and an update that was not refused although a key changed that it had only read.
package history

import (
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// A Group is the number of a pair of keys.
type Group int

// A Pair is the values of the keys of a group. An empty string is no value.
type Pair [2]string

// A Call is what one call has seen and written.
//
// Every value that calls write must differ from all others of the history, so that a read tells
// which call it has seen.
type Call struct {
	Group  Group
	Reads  bool
	Saw    Pair    // if it reads
	Writes [2]bool // the keys that it writes
	Values Pair    // of the keys that it writes; empty for a delete
	// Lasts is how long the values stay at least, or 0 if they stay for ever. A call that reads has
	// none.
	Lasts time.Duration
}

// Set returns the call that gives one key of a group a value.
func Set(g Group, key int, value string) Call {
	c := Call{Group: g}
	c.Writes[key], c.Values[key] = true, value
	return c
}

// SetFor returns the call that gives one key of a group a value that may end once d has passed.
func SetFor(g Group, key int, value string, d time.Duration) Call {
	c := Set(g, key, value)
	c.Lasts = d
	return c
}

// Delete returns the call that removes one key of a group.
func Delete(g Group, key int) Call { return Set(g, key, "") }

// Read returns the call that has seen both keys of a group at one instant.
func Read(g Group, saw Pair) Call { return Call{Group: g, Reads: true, Saw: saw} }

// canEmpty reports whether c may leave a key without a value: it is a delete, or its value may have
// ended. Nothing tells which of such calls a read has seen that has seen no value.
func (c Call) canEmpty() bool {
	for key, writes := range c.Writes {
		if writes && (c.Values[key] == "" || c.Lasts > 0) {
			return true
		}
	}
	return false
}

// A History is the calls of a run. Its methods may be called by any goroutine.
type History struct {
	begun time.Time

	mu      sync.Mutex // guards the fields below
	done    []done
	refused map[string]Call // by the values
}

// A done is a call that has ended.
type done struct {
	Call
	client        int
	called, ended int64 // nanoseconds since the begin of the history
	unknown       bool  // the call may take effect at any time, or never
}

// New returns a history without calls. It begins now.
func New() *History { return &History{begun: time.Now(), refused: map[string]Call{}} }

// Now returns the time of the history, for the begin of a call.
func (h *History) Now() int64 { return time.Since(h.begun).Nanoseconds() }

// Acknowledged adds a call of a client that began at the time called and succeeded just now.
func (h *History) Acknowledged(client int, called int64, c Call) {
	h.add(done{c, client, called, h.Now(), false})
}

// Refused notes a call that ended with an error that says that it never takes effect. It is not
// one of the calls that [History.Check] orders.
func (h *History) Refused(c Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, writes := range c.Writes {
		if writes && c.Values[key] != "" {
			h.refused[c.Values[key]] = c
		}
	}
}

// RefusedAndSeen returns the calls that were refused and whose values others have seen. If there
// are any, Check finds no order; they tell why.
func (h *History) RefusedAndSeen() (all []Call) {
	seen := h.seen()
	for value, c := range h.refused {
		if seen[value] {
			all = append(all, c)
		}
	}
	return all
}

// Unknown adds a call that began at the time called and ended with an error that leaves open
// whether it takes effect.
func (h *History) Unknown(client int, called int64, c Call) {
	if c.Reads && c.canEmpty() {
		// Placing the call behind all others stands for never, and that must be possible.
		panic("history: an unknown call that reads, and may leave no value")
	}
	h.add(done{c, client, called, math.MaxInt64, true})
}

func (h *History) add(d done) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = append(h.done, d)
}

// Len returns the number of calls.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.done)
}

// Check searches for an order of the calls that explains their results, for up to limit. It
// must not run beside calls.
func (h *History) Check(limit time.Duration) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model, h.operations(), limit)
}

// Draw writes a page with the first group whose calls cannot be explained to a file of HTML.
func (h *History) Draw(path string, limit time.Duration) error {
	for _, group := range model.Partition(h.operations()) {
		result, info := porcupine.CheckOperationsVerbose(model, group, limit)
		if result != porcupine.Ok {
			return porcupine.VisualizePath(model, info, path)
		}
	}
	return nil
}

// operations returns the calls as porcupine takes them.
//
// An unknown call may take effect at any time after its begin, so it ends after all others. An
// unknown call whose values no call has seen is left out. That changes no answer: if an order
// exists that has the call, no read comes between it and the next write of the key, so the order
// without the call explains all the rest as well. A call that may leave no value always stays.
func (h *History) operations() (all []porcupine.Operation) {
	seen := h.seen()
	for _, d := range h.done {
		if d.unknown && !d.canEmpty() && !d.seenIn(seen) {
			continue
		}
		all = append(all, porcupine.Operation{ClientId: d.client, Input: d, Call: d.called, Return: d.ended})
	}
	return all
}

// seen returns the values that were seen by calls that took effect.
func (h *History) seen() map[string]bool {
	seen := map[string]bool{}
	for grown := true; grown; { // an unknown call that was seen has seen others
		before := len(seen)
		for _, d := range h.done {
			if d.Reads && (!d.unknown || d.seenIn(seen)) {
				seen[d.Saw[0]], seen[d.Saw[1]] = true, true
			}
		}
		grown = len(seen) > before
	}
	return seen
}

func (c Call) seenIn(seen map[string]bool) bool {
	for key, writes := range c.Writes {
		if writes && seen[c.Values[key]] {
			return true
		}
	}
	return false
}

// partition returns the operations of each group.
func partition(all []porcupine.Operation) (parts [][]porcupine.Operation) {
	groups := map[Group][]porcupine.Operation{}
	for _, op := range all {
		g := op.Input.(done).Group
		groups[g] = append(groups[g], op)
	}
	for _, part := range groups {
		parts = append(parts, part)
	}
	return parts
}

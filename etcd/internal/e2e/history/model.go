package history

import "github.com/anishathalye/porcupine"

// A state is what the model knows of a group between two calls.
//
// The end of an entry is no call: nothing was called, and nothing returns. So the model is
// nondeterministic. Between any two calls, an entry with a lease may have ended or not, and both
// states go on until a call contradicts one of them. An entry never has to end: a lease begins anew
// when the leader changes, and a cluster without a quorum ends none.
//
// An entry never ends early. The cluster grants the lease after the call has begun, and the
// leader counts the time from the grant, or again from the begin of its own rule. The servers run on
// the machine that takes the times of the history, and both count with its monotonic clock. So the
// time counts from the begin of the call, without slack.
type state struct {
	entries [2]entry

	// since is a time at which the last end has come at the earliest. The calls after it have
	// returned no earlier. 0 is no such time, or one that has no meaning any more.
	since int64
}

// An entry is the value of a key.
type entry struct {
	value string
	// until is the time up to which the entry stays for certain; a lease may end it from then on.
	// 0 is an entry without a lease.
	until int64
}

// endings returns the states to which s may come by ends, s itself among them.
func (s state) endings() []state {
	all := []state{s}
	for key, e := range s.entries {
		if e.until == 0 {
			continue
		}
		for _, s := range all {
			s.entries[key], s.since = entry{}, max(s.since, e.until)
			all = append(all, s)
		}
	}
	return all
}

// permits reports whether c can have been the next call.
func (s state) permits(c done) bool {
	return s.since <= c.ended && (!c.Reads || c.Saw == Pair{s.entries[0].value, s.entries[1].value})
}

// after returns the state after c. Every write takes its key off the lease that the key had.
func (s state) after(c done) state {
	for key, writes := range c.Writes {
		if writes {
			s.entries[key] = entry{c.Values[key], c.until()}
		}
	}
	if s.since <= c.called {
		s.since = 0 // no call that comes after c has returned before c was called
	}
	return s
}

func (d done) until() int64 {
	if d.Lasts == 0 {
		return 0
	}
	return d.called + d.Lasts.Nanoseconds()
}

// model is one group of a history.
var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{state{}} },
	Step: func(before, call, _ any) (all []any) {
		c := call.(done)
		for _, s := range before.(state).endings() {
			if s.permits(c) {
				all = append(all, s.after(c))
			}
		}
		return all
	},
	Partition:         partition,
	DescribeOperation: func(call, _ any) string { return call.(done).String() },
}).ToModel()

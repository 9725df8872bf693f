package etcd

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// txOf returns a Tx that reads a map at a revision.
func txOf(entries map[string]string, at int64) *Tx {
	get := func(key string) (string, bool) {
		value, ok := entries[key]
		return value, ok
	}
	return newTx(get, place{1, at}, 1)
}

func TestPlan(t *testing.T) {
	tx := txOf(map[string]string{"there": "1"}, 10)
	tx.Get("there")
	tx.Get("missing")
	tx.Set("a", "1")
	tx.Delete("b")
	tx.Set("a", "2")
	tx.Get("a")
	conditions, operations := tx.plan("p/", "token")
	texts := make([]string, 0, len(conditions))
	for _, c := range conditions {
		texts = append(texts, strings.Join(strings.Fields(c.GetCompare().String()), " "))
	}
	assert.ElementsMatch(t, []string{
		`result:LESS target:MOD key:"p/there" mod_revision:11`,
		`result:GREATER target:CREATE key:"p/there" create_revision:0`,
		`target:CREATE key:"p/missing" create_revision:0`,
	}, texts, "a key of the Tx's own is not compared")
	require.Len(t, operations, 3)
	assert.Equal(t, "p/a", string(operations[0].KeyBytes()))
	assert.Equal(t, "2", string(operations[0].ValueBytes()), "the last write of a key")
	assert.True(t, operations[1].IsDelete())
	assert.Equal(t, "p/", string(operations[2].KeyBytes()))
	assert.Equal(t, "token", string(operations[2].ValueBytes()))
}

func TestATxSeesItsOwnWrites(t *testing.T) {
	tx := txOf(map[string]string{"there": "1"}, 10)
	tx.Set("new", "x")
	tx.Delete("there")
	value, ok := tx.Get("new")
	assert.True(t, ok)
	assert.Equal(t, "x", value)
	_, ok = tx.Get("there")
	assert.False(t, ok)
	assert.Empty(t, tx.reads)
	tx.Set("", "x")
	require.ErrorIs(t, tx.misuse, fs.ErrInvalid)
}

// The model below checks the argument of settle: it goes through all orders in which a lost try, what
// Update sends next, and other callers can come to a cluster, and looks whether the cluster applies
// both.

// A modelKey is a key of a cluster: its revisions, both 0 if it is missing.
type modelKey struct {
	value       string
	create, mod int64
}

type model struct {
	revision int64
	keys     map[string]modelKey
}

func (m *model) clone() *model { return &model{m.revision, maps.Clone(m.keys)} }

func (m *model) view() map[string]string {
	entries := make(map[string]string)
	for key, k := range m.keys {
		entries[key] = k.value
	}
	return entries
}

func (m *model) set(key, value string) {
	k := m.keys[key]
	if k.create == 0 {
		k.create = m.revision
	}
	m.keys[key] = modelKey{value, k.create, m.revision}
}

// A transaction is what a try sends.
type transaction struct {
	conditions []*etcdserverpb.Compare
	changes    []change
}

func transactionOf(tx *Tx) (t transaction) {
	conditions, operations := tx.plan("", "token")
	for _, c := range conditions {
		t.conditions = append(t.conditions, c.GetCompare())
	}
	for _, op := range operations {
		if key := string(op.KeyBytes()); key != tokenKey {
			t.changes = append(t.changes, change{key, string(op.ValueBytes()), op.IsDelete()})
		}
	}
	return t
}

// apply applies a transaction as etcd does, and reports whether its comparisons held.
func (m *model) apply(t transaction) bool {
	for _, c := range t.conditions {
		if !m.holds(c) {
			return false
		}
	}
	m.revision++
	for _, c := range t.changes {
		if c.deleted {
			delete(m.keys, c.key)
		} else {
			m.set(c.key, c.value)
		}
	}
	return true
}

func (m *model) holds(c *etcdserverpb.Compare) bool {
	k := m.keys[string(c.Key)]
	have, want := k.create, c.GetCreateRevision()
	if c.Target == etcdserverpb.Compare_MOD {
		have, want = k.mod, c.GetModRevision()
	}
	switch c.Result {
	case etcdserverpb.Compare_EQUAL:
		return have == want
	case etcdserverpb.Compare_LESS:
		return have < want
	default:
		return have > want
	}
}

// A shape is what a function of an Update does: which keys it reads, and then sets or deletes.
type shape struct{ reads, sets, deletes []string }

func shapes() (all []shape) {
	subsets := [][]string{nil, {"x"}, {"y"}, {"x", "y"}}
	for _, reads := range subsets {
		for _, writes := range subsets[1:] {
			all = append(all, shape{reads, writes, nil}, shape{reads, nil, writes})
		}
		all = append(all, shape{reads, []string{"x"}, []string{"y"}}, shape{reads, []string{"y"}, []string{"x"}})
	}
	return all
}

func (s shape) run(m *model, value string) *Tx {
	tx := txOf(m.view(), m.revision)
	for _, key := range s.reads {
		tx.Get(key)
	}
	for _, key := range s.sets {
		tx.Set(key, value)
	}
	for _, key := range s.deletes {
		tx.Delete(key)
	}
	return tx
}

// others are the sequences of what another caller does to x: set it to either value, or delete it.
func others(longest int) [][]string {
	all := [][]string{nil}
	for i := 0; i < len(all); i++ {
		if len(all[i]) < longest {
			for _, op := range []string{"0", "1", "delete"} {
				all = append(all, append(slices.Clone(all[i]), op))
			}
		}
	}
	return all
}

func (m *model) other(op string) {
	m.revision++
	if op == "delete" {
		delete(m.keys, "x")
	} else {
		m.set("x", op)
	}
}

// A situation is a lost try, and the cluster as the replica shows it when Update has looked.
type situation struct {
	lost *Tx
	then *model
	name string
}

// situations returns all of them, in which the lost try was not applied.
func situations() (all []situation) {
	for _, start := range []map[string]modelKey{
		{}, {"x": {"0", 1, 1}}, {"y": {"0", 1, 1}}, {"x": {"0", 1, 1}, "y": {"0", 1, 1}},
	} {
		for _, before := range others(2) {
			for _, l := range shapes() {
				first := &model{1, start}
				then := first.clone()
				for _, op := range before {
					then.other(op)
				}
				all = append(all, situation{l.run(first, "L"), then, fmt.Sprintf("%v: lost %v, others %v", start, l, before)})
			}
		}
	}
	return all
}

func (s situation) get(key string) (string, bool) {
	value, ok := s.then.view()[key]
	return value, ok
}

// anything returns what fn may write when it is called again.
func (s situation) anything() (all []*Tx) {
	for _, n := range shapes() {
		all = append(all, n.run(s.then, "N"))
	}
	return all
}

// twice looks for an order in which the lost try and what is sent next are both applied although
// allowed lets it be sent, and describes the first that it finds.
func twice(allowed func(situation) bool, next func(situation) []*Tx) (orders int, found string) {
	for _, s := range situations() {
		if !allowed(s) {
			continue
		}
		for _, n := range next(s) {
			count, bad := bothApplied(s.then, transactionOf(s.lost), transactionOf(n))
			if orders += count; bad != "" {
				return orders, s.name + ", then " + bad
			}
		}
	}
	return orders, ""
}

// bothApplied goes through the orders of lost, next and up to two writes of another caller.
func bothApplied(from *model, lost, next transaction) (orders int, found string) {
	for _, ops := range others(2) {
		for l := range len(ops) + 2 {
			for n := range len(ops) + 2 {
				if l == n {
					continue
				}
				orders++
				m, rest, applied := from.clone(), ops, 0
				for at := range len(ops) + 2 {
					switch at {
					case l:
						applied += count(m.apply(lost))
					case n:
						applied += count(m.apply(next))
					default:
						m.other(rest[0])
						rest = rest[1:]
					}
				}
				if applied == 2 {
					return orders, fmt.Sprintf("others %v, lost at %d, next at %d", ops, l, n)
				}
			}
		}
	}
	return orders, ""
}

func count(happened bool) int {
	if happened {
		return 1
	}
	return 0
}

func isDead(s situation) bool { return s.lost.isDeadIn(s.get) }

func excludesItself(s situation) bool { return s.lost.excludesItself() }

func aCopy(s situation) []*Tx { return []*Tx{s.lost} }

func TestALostTryAndTheNextAreNotBothApplied(t *testing.T) {
	for name, c := range map[string]struct {
		allowed func(situation) bool
		next    func(situation) []*Tx
	}{
		"fn is called again": {isDead, situation.anything},
		"a copy is sent":     {excludesItself, aCopy},
	} {
		t.Run(name, func(t *testing.T) {
			orders, found := twice(c.allowed, c.next)
			assert.Empty(t, found)
			assert.Greater(t, orders, 10_000, "the model looks at something")
		})
	}
}

// Negative controls: weaker rules, which a reader may think of, let both be applied.
func TestWeakerRulesApplyBoth(t *testing.T) {
	always := func(situation) bool { return true }
	for name, c := range map[string]struct {
		allowed func(situation) bool
		next    func(situation) []*Tx
	}{
		"fn always": {always, situation.anything},
		"fn after a key was made": {func(s situation) bool {
			_, now := s.get("x")
			was, read := s.lost.reads["x"]
			return read && !was.exists && now
		}, situation.anything},
		"copy always":                  {always, aCopy},
		"copy of what has found a key": {func(s situation) bool { return s.lost.reads["x"].exists }, aCopy},
		"copy of what has read its key": {func(s situation) bool {
			_, read := s.lost.reads["x"]
			_, writes := s.lost.writes["x"]
			return read && writes
		}, aCopy},
	} {
		t.Run(name, func(t *testing.T) {
			_, found := twice(c.allowed, c.next)
			assert.NotEmpty(t, found)
			t.Log(found)
		})
	}
}

// later looks for an order in which a try is applied after a copy of it has failed.
func later(allowed func(*Tx) bool) (orders int, found string) {
	for _, s := range situations() {
		sent := transactionOf(s.lost)
		if !allowed(s.lost) || s.then.clone().apply(sent) {
			continue
		}
		for _, ops := range others(2) {
			orders++
			m := s.then.clone()
			for _, op := range ops {
				m.other(op)
			}
			if m.apply(sent) {
				return orders, fmt.Sprintf("%s, then others %v", s.name, ops)
			}
		}
	}
	return orders, ""
}

func TestATryWhoseCopyHasFailedIsDead(t *testing.T) {
	orders, found := later(func(tx *Tx) bool { return !tx.hasMissed() })
	assert.Empty(t, found)
	assert.Greater(t, orders, 1_000, "the model looks at something")

	_, found = later(func(*Tx) bool { return true })
	assert.NotEmpty(t, found, "a key that was missing can go away again")
}

package trie

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

// A shape is what a walk over a trie found.
type shape struct {
	branches, leaves, chained, entries int
	deepest                            int            // level of branches
	made                               map[uint64]int // nodes by epoch
}

// check fails the test unless every invariant of the nodes holds, and returns
// the shape.
func check(t require.TestingT, h *hasher, root *branch, size int) shape {
	s := shape{made: map[uint64]int{}}
	checkBranch(t, h, root, rootShift, 0, &s)
	require.Equal(t, size, s.entries, "size")
	return s
}

// must is require.True at a price that millions of checks can pay.
func must(t require.TestingT, holds bool, what string) {
	if !holds {
		t.Errorf("not so: %s", what)
		t.FailNow()
	}
}

// checkBranch checks b, whose keys all have prefix in the bits above shift.
func checkBranch(t require.TestingT, h *hasher, b *branch, shift int, prefix uint64, s *shape) {
	require.GreaterOrEqual(t, shift, lastShift)
	s.branches++
	s.made[b.epoch]++
	s.deepest = max(s.deepest, (rootShift-shift)/indexBits)
	for i := 0; i < fanout; {
		c := b.slots[i]
		must(t, (c.branch == nil) != (c.leaf == nil), "one of them is nil")
		if c.branch != nil {
			checkBranch(t, h, c.branch, shift-indexBits, prefix|uint64(i)<<shift, s)
			i++
			continue
		}
		width := fanout >> c.leaf.depth
		must(t, i%width == 0, "the leaf begins where its depth says")
		for j := range width {
			must(t, c.leaf == b.slots[i+j].leaf, "neighbouring slots hold the leaf")
		}
		bits := indexBits - int(c.leaf.depth)
		checkLeaf(t, h, c.leaf, shift+bits, prefix|uint64(i)<<shift, s)
		must(t, c.leaf.next == nil || shift == lastShift && int(c.leaf.depth) == indexBits, "chained only at the end")
		i += width
	}
}

// checkLeaf checks l and what is chained to it.
func checkLeaf(t require.TestingT, h *hasher, l *leaf, shift int, prefix uint64, s *shape) {
	for chained := 0; l != nil; l, chained = l.next, chained+1 {
		s.leaves++
		s.chained += min(chained, 1)
		s.made[l.epoch]++
		s.entries += int(l.count)
		for i, e := range l.entries {
			if i >= int(l.count) {
				must(t, e == entry{}, "nothing is kept alive")
				continue
			}
			hash := h.hash(e.key)
			must(t, uint8(hash) == l.tags[i], "the tag is of the key")
			if shift < 64 {
				must(t, prefix>>shift == hash>>shift, "the key belongs here")
			}
		}
	}
}

// structure copies all that a view can see, to be compared later.
func structure(v View) (nodes map[any]any) {
	nodes = map[any]any{}
	var walk func(b *branch)
	walk = func(b *branch) {
		nodes[b] = *b
		for _, c := range b.slots {
			if c.branch != nil {
				walk(c.branch)
			}
			for l := c.leaf; l != nil; l = l.next {
				nodes[l] = *l
			}
		}
	}
	walk(v.root)
	return nodes
}

// requireUnchanged fails the test if any node of a structure is not as it was.
func requireUnchanged(t require.TestingT, nodes map[any]any) {
	for node, was := range nodes {
		switch n := node.(type) {
		case *branch:
			must(t, *n == was.(branch), "a branch of a view has not changed")
		case *leaf:
			must(t, *n == was.(leaf), "a leaf of a view has not changed")
		}
	}
}

func TestTheCheckChecks(t *testing.T) {
	for name, spoil := range map[string]func(*Map){
		"size":   func(m *Map) { m.size++ },
		"tag":    func(m *Map) { someLeaf(m).tags[0]++ },
		"entry":  func(m *Map) { l := someLeaf(m); l.entries[l.count].key = "left over" },
		"branch": func(m *Map) { m.root.slots[0].branch = m.root },
		"slot":   func(m *Map) { m.root.slots[0].leaf = &leaf{} },
		"place":  func(m *Map) { m.root.slots[0], m.root.slots[fanout-1] = m.root.slots[fanout-1], m.root.slots[0] },
	} {
		t.Run(name, func(t *testing.T) {
			m := New()
			for i := range 100 {
				m.Set(key(i), "v")
			}
			check(t, &m.hasher, m.root, m.size)
			spoil(m)
			d := &detector{}
			func() {
				defer func() { _ = recover() }()
				check(d, &m.hasher, m.root, m.size)
			}()
			require.True(t, d.failed)
		})
	}
}

func someLeaf(m *Map) *leaf {
	for _, c := range m.root.slots {
		if c.leaf != nil && c.leaf.count > 0 && c.leaf.count < leafSize {
			return c.leaf
		}
	}
	panic("no such leaf")
}

// A detector is a test that is supposed to fail.
type detector struct{ failed bool }

func (d *detector) Errorf(string, ...any) { d.failed = true }
func (d *detector) FailNow()              { panic("failed, as it should") }

// requireSame fails the test unless v holds exactly what model does.
func requireSame(t require.TestingT, model map[string]string, v View) {
	require.Equal(t, len(model), v.Len())
	must(t, maps.Equal(model, maps.Collect(v.All)), "All yields what a plain map holds")
	for key, want := range model {
		got, ok := v.Get(key)
		must(t, ok && got == want, "Get finds what All does")
	}
	_, ok := v.Get("missing")
	require.False(t, ok)
}

package trie

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"
)

func TestAllStopsWhenTold(t *testing.T) {
	v := filled(5_000).View()
	for _, stop := range []int{1, 2, 40, 4_999, 5_000} {
		seen := 0
		for range v.All {
			if seen++; seen == stop {
				break
			}
		}
		require.Equal(t, stop, seen)
	}
}

func TestAllStopsWhenToldInsideAChain(t *testing.T) {
	m := New()
	m.keep = 0
	for i := range 200 {
		m.Set(key(i), "v")
	}
	for stop := 1; stop <= 200; stop++ {
		seen := 0
		for range m.View().All {
			if seen++; seen == stop {
				break
			}
		}
		require.Equal(t, stop, seen)
	}
}

// A loop over a view may contain writes, more views and loops over them.
func TestViewsNest(t *testing.T) {
	m := filled(300)
	outer := m.View()
	visited := 0
	for k := range outer.All {
		m.Set(k, "changed once")
		inner := m.View()
		for k := range inner.All {
			m.Delete(k)
		}
		require.Zero(t, m.Len())
		require.Equal(t, 300, inner.Len())
		for k, value := range inner.All {
			m.Set(k, value)
		}
		visited++
	}
	require.Equal(t, 300, visited)
	check(t, m)
	for _, value := range outer.All {
		require.Equal(t, "v", value)
	}
	for _, value := range m.View().All {
		require.Equal(t, "changed once", value)
	}
}

func TestViewsOutliveTheirMap(t *testing.T) {
	m := filled(1_000)
	model := maps.Collect(m.View().All)
	view := m.View()
	root := weak.Make(m)
	m = nil
	runtime.GC()
	require.Nil(t, root.Value(), "the view does not keep the Map alive")
	requireSame(t, model, view)
}

// The nodes that only one view can reach are garbage once the view is dropped, in
// any order of dropping. All other nodes stay.
func TestDroppedViewsAreGarbage(t *testing.T) {
	for range 5 {
		m := filled(3_000)
		var nodes nodes
		var views []*View
		for i := range 8 {
			v := m.View()
			views = append(views, &v)
			nodes.add(v.root)
			for range 200 {
				m.Set(key(rand.IntN(3_000)), fmt.Sprint(i))
				m.Delete(key(rand.IntN(3_000)))
			}
		}
		nodes.add(m.root)
		for _, i := range rand.Perm(len(views)) {
			before := nodes.alive()
			views[i] = nil
			runtime.GC()
			reachable := 0
			for range reach(m, views) {
				reachable++
			}
			require.Equal(t, reachable, nodes.alive(), "as many nodes as can be reached, of %d before", before)
		}
		runtime.KeepAlive(m)
	}
}

// nodes has weak pointers to the nodes of several tries.
type nodes struct {
	branches map[weak.Pointer[branch]]bool
	leaves   map[weak.Pointer[leaf]]bool
}

func (n *nodes) add(root *branch) {
	if n.branches == nil {
		n.branches, n.leaves = map[weak.Pointer[branch]]bool{}, map[weak.Pointer[leaf]]bool{}
	}
	walk(root,
		func(b *branch) bool { n.branches[weak.Make(b)] = true; return true },
		func(l *leaf) { n.leaves[weak.Make(l)] = true })
}

func (n *nodes) alive() (count int) {
	for b := range n.branches {
		if b.Value() != nil {
			count++
		}
	}
	for l := range n.leaves {
		if l.Value() != nil {
			count++
		}
	}
	return count
}

// reach returns the nodes that m and the remaining views lead to.
func reach(m *Map, views []*View) map[any]bool {
	found := map[any]bool{}
	add := func(root *branch) {
		walk(root,
			func(b *branch) bool { found[b] = true; return true },
			func(l *leaf) { found[l] = true })
	}
	add(m.root)
	for _, v := range views {
		if v != nil {
			add(v.root)
		}
	}
	return found
}

// Several goroutines read each view while the owner writes. The race detector
// watches.
func TestViewsAreReadWhileTheMapChanges(t *testing.T) {
	const keys, rounds, readers = 2_000, 30, 4
	m := filled(keys)
	var reading sync.WaitGroup
	for round := range rounds {
		for i := range keys {
			m.Set(key(i), fmt.Sprint(round))
		}
		v := m.View()
		for range readers {
			reading.Go(func() { requireRound(t, v, keys, fmt.Sprint(round)) })
		}
		for i := range keys / 2 {
			m.Delete(key(2 * i))
			m.Set(fmt.Sprint("new ", round, " ", i), "v")
			m.Delete(fmt.Sprint("new ", round, " ", i-10))
		}
		for i := range 10 {
			m.Delete(fmt.Sprint("new ", round, " ", keys/2-1-i))
		}
	}
	reading.Wait()
	check(t, m)
}

// requireRound requires that v is of one moment: all keys have the same value.
func requireRound(t *testing.T, v View, keys int, want string) {
	seen := 0
	for _, value := range v.All {
		if seen++; value != want {
			t.Errorf("%s in a view of round %s", value, want)
			return
		}
	}
	if seen != keys || v.Len() != keys {
		t.Errorf("%d entries, length %d", seen, v.Len())
	}
	for i := range keys {
		if value, ok := v.Get(key(i)); !ok || value != want {
			t.Errorf("%q in a view of round %s", value, want)
			return
		}
	}
}

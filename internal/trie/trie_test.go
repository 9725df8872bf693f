package trie

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func key(i int) string { return fmt.Sprintf("key-%08d", i) }

// filled returns a map of n entries.
func filled(n int) *Map {
	m := New()
	for i := range n {
		m.Set(key(i), "v")
	}
	return m
}

// A witness is a view with what it should hold and be, for ever.
type witness struct {
	view  View
	model map[string]string
	nodes map[any]any
}

func (w witness) check(t require.TestingT) {
	requireSame(t, w.model, w.view)
	requireUnchanged(t, w.nodes)
}

// Whatever is done to a map, it holds what a plain map would, and each of its
// views what the plain map held when it was taken. Hashes of few bits make keys
// collide down to the last level.
func TestMapAndViewsAgainstAPlainMap(t *testing.T) {
	for name, keep := range map[string]uint64{
		"whole hashes":       ^uint64(0),
		"the topmost 4 bits": 0xf << 60,
		"1 bit in between":   1 << 30,
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { againstAPlainMap(rt, keep) })
		})
	}
}

func againstAPlainMap(t *rapid.T, keep uint64) {
	m := New()
	m.keep = keep
	model := map[string]string{}
	var views []witness
	keys := rapid.Custom(func(t *rapid.T) string { return key(rapid.IntRange(0, 100).Draw(t, "key")) })
	set := func(key, value string) {
		was, had := model[key]
		old, existed := m.Set(key, value)
		require.Equal(t, had, existed)
		require.Equal(t, was, old)
		model[key] = value
	}
	remove := func(key string) {
		was, had := model[key]
		old, existed := m.Delete(key)
		require.Equal(t, had, existed)
		require.Equal(t, was, old)
		delete(model, key)
	}
	t.Repeat(map[string]func(*rapid.T){
		"set":    func(t *rapid.T) { set(keys.Draw(t, "key"), rapid.StringN(0, 3, -1).Draw(t, "value")) },
		"delete": func(t *rapid.T) { remove(keys.Draw(t, "key")) },
		"set many": func(t *rapid.T) {
			from := rapid.IntRange(0, 60).Draw(t, "from")
			for i := range 40 {
				set(key(from+i), "many")
			}
		},
		"delete many": func(t *rapid.T) {
			from := rapid.IntRange(0, 60).Draw(t, "from")
			for i := range 40 {
				remove(key(from + i))
			}
		},
		"take a view": func(t *rapid.T) {
			v := m.View()
			views = append(views, witness{v, maps.Clone(model), structure(v)})
		},
		"drop a view": func(t *rapid.T) {
			if len(views) > 0 {
				i := rapid.IntRange(0, len(views)-1).Draw(t, "view")
				views = slices.Delete(views, i, i+1)
			}
		},
		"": func(t *rapid.T) {
			require.Equal(t, len(model), m.Len())
			check(t, &m.hasher, m.root, m.size)
			requireSame(t, model, View{hasher: m.hasher, root: m.root, size: m.size})
			for _, w := range views {
				w.check(t)
			}
		},
	})
}

// Thousands of keys come and go, so that leaves divide and join and branches grow
// and collapse several levels deep.
func TestLargeMapAgainstAPlainMap(t *testing.T) {
	const n = 60_000
	m, model := New(), map[string]string{}
	random := rand.New(rand.NewPCG(1, 2))
	var views []witness
	var deepest int
	for phase := range 6 {
		for range n {
			k := key(random.IntN(n))
			if random.IntN(10) < 8-5*(phase%2) {
				m.Set(k, k)
				model[k] = k
			} else {
				m.Delete(k)
				delete(model, k)
			}
		}
		s := check(t, &m.hasher, m.root, len(model))
		deepest = max(deepest, s.deepest)
		v := m.View()
		views = append(views, witness{v, maps.Clone(model), structure(v)})
	}
	require.GreaterOrEqual(t, deepest, 2)
	for _, w := range views {
		w.check(t)
	}
}

func TestDeletingGivesTheStructureBack(t *testing.T) {
	for _, keep := range []uint64{^uint64(0), 0xff, 0} {
		m := New()
		m.keep = keep
		n := 100_000
		if keep != ^uint64(0) {
			n = 2_000 // all in one chain: each search is long
		}
		for i := range n {
			m.Set(key(i), "v")
		}
		full := check(t, &m.hasher, m.root, n)
		for i := range n {
			m.Delete(key(i))
		}
		empty := check(t, &m.hasher, m.root, 0)
		require.Less(t, empty.branches+empty.leaves, 1+(full.branches+full.leaves)/20,
			"%d branches and %d leaves are left of %d and %d", empty.branches, empty.leaves, full.branches, full.leaves)
	}
}

// The first write after a view copies a leaf and the branches above it, whatever
// the size of the map: no turn of its owner is proportional to it.
func TestWriteAfterAViewCopiesLittle(t *testing.T) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		m := filled(n)
		for i := range 10 {
			v := m.View()
			m.Set(key(i*n/10), "new")
			nodes, levels := madeAfter(m.root, v.root, m.epoch), 6
			require.LessOrEqual(t, nodes, levels, "copied in a map of %d", n)
			require.NotZero(t, nodes)
		}
	}
}

// madeAfter counts the nodes of epoch under b that was does not share.
func madeAfter(b, was *branch, epoch uint64) (nodes int) {
	if b == was {
		return 0
	}
	nodes++
	for i, c := range b.slots {
		switch {
		case c.branch != nil:
			nodes += madeAfter(c.branch, was.slots[i].branch, epoch)
		case c.leaf.epoch == epoch && (i == 0 || b.slots[i-1].leaf != c.leaf):
			nodes++
		}
	}
	return nodes
}

// The witnesses see a node that is changed although a view shares it.
func TestChangedViewsAreSeen(t *testing.T) {
	m := filled(1_000)
	v := m.View()
	w := witness{v, maps.Collect(v.All), structure(v)}
	w.check(t)
	m.epoch-- // as if no view had been taken
	m.Set(key(1), "changed")
	d := &detector{}
	require.Panics(t, func() { requireUnchanged(d, w.nodes) })
	require.True(t, d.failed)
}

// Views last as long as anybody holds them, and no longer.
func TestForgottenViewsAreGarbage(t *testing.T) {
	m := filled(10_000)
	collected := make(chan int, 3)
	func() {
		for i := range cap(collected) {
			v := m.View()
			runtime.AddCleanup(v.root, func(i int) { collected <- i }, i)
			m.Set(key(i), "new") // or the map itself keeps the root
		}
	}()
	for range cap(collected) {
		for waiting := true; waiting; {
			runtime.GC()
			select {
			case <-collected:
				waiting = false
			default:
				runtime.Gosched()
			}
		}
	}
	require.Equal(t, 10_000, m.Len())
}

// Any number of goroutines read views while the owner writes. The race detector
// watches.
func TestViewsAreReadWhileTheMapChanges(t *testing.T) {
	const n = 3_000
	m := filled(n)
	var readers sync.WaitGroup
	for round := range 40 {
		v := m.View()
		want, _ := v.Get(key(round))
		for range 4 {
			readers.Go(func() {
				seen := 0
				for range v.All {
					seen++
				}
				if got, _ := v.Get(key(round)); got != want || seen != v.Len() {
					t.Errorf("round %d: %q and %d entries, want %q and %d", round, got, seen, want, v.Len())
				}
			})
		}
		for i := range 200 {
			m.Set(key(n+round*50+i), "more")
			m.Set(key(i), fmt.Sprint(round))
			m.Delete(key(round*7 + 500 + i))
		}
	}
	readers.Wait()
}

func TestAllStopsWhenTold(t *testing.T) {
	m := filled(5_000)
	for _, stop := range []int{1, 40, 4_999} {
		seen := 0
		for range m.View().All {
			if seen++; seen == stop {
				break
			}
		}
		require.Equal(t, stop, seen)
	}
}

func TestAllocations(t *testing.T) {
	m := filled(10_000)
	k := key(77)
	require.Zero(t, testing.AllocsPerRun(1000, func() { m.Get(k) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { m.Set(k, "v") }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { _ = m.View() }))
}

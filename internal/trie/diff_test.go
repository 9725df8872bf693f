package trie

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// wanted returns the changes between two plain maps.
func wanted(old, new map[string]string) map[string]Change {
	all := map[string]Change{}
	for key, value := range new {
		if was, existed := old[key]; !existed || was != value {
			all[key] = Change{key, was, value, existed, true, 0}
		}
	}
	for key, was := range old {
		if _, exists := new[key]; !exists {
			all[key] = Change{key, was, "", true, false, 0}
		}
	}
	return all
}

// compare requires that Diff yields exactly the changes between two views with these
// contents.
func compare(t require.TestingT, old, new View, before, after map[string]string) {
	found, yielded := map[string]Change{}, 0
	for c := range Diff(old, new) {
		found[c.Key] = c
		yielded++
	}
	require.Equal(t, len(found), yielded, "each key once")
	if want := wanted(before, after); !maps.Equal(want, found) {
		require.Equal(t, want, found) // takes long, but says more
	}
}

// compareAll compares each view of w with each other, in both directions.
func (w *twin) compareAll(t require.TestingT) {
	w.view()
	empty := witness{view: View{}, model: map[string]string{}}
	for _, a := range append(w.views, empty) {
		for _, b := range append(w.views, empty) {
			compare(t, a.view, b.view, a.model, b.model)
		}
	}
}

func TestDiffAgainstPlainMaps(t *testing.T) {
	for name, keep := range map[string]uint64{
		"hashes":                     ^uint64(0),
		"few hashes":                 0xf00f << 48,
		"the same tags":              ^uint64(0xff),
		"one hash, so a single leaf": 0,
	} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			w := newTwin(keep)
			keys := rapid.IntRange(1, 400).Draw(t, "keys")
			random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			for range rapid.IntRange(1, 5).Draw(t, "views") {
				growth := rapid.IntRange(0, 100).Draw(t, "growth")
				for range rapid.IntRange(0, 300).Draw(t, "writes") {
					k := key(random.IntN(keys))
					if random.IntN(100) < growth {
						w.set(t, k, fmt.Sprint(random.IntN(3)))
					} else {
						w.delete(t, k)
					}
				}
				w.view()
			}
			w.compareAll(t)
		}))
	}
}

// Leaves become branches and branches leaves again, thousands of keys at a time.
func TestDiffOfLargeMaps(t *testing.T) {
	const n = 20_000
	w := newTwin(^uint64(0))
	for i := range n {
		w.set(t, key(i), "v")
	}
	w.view()
	for i := range n - 10 {
		w.delete(t, key(i))
	}
	w.view()
	for i := range n / 2 {
		w.set(t, key(i), fmt.Sprint(i%2)) // others than before
	}
	w.compareAll(t)
}

func TestDiffOfWritesThatChangeNothing(t *testing.T) {
	m := filled(5_000)
	old := m.View()
	for i := range 5_000 {
		m.Set(key(i), "other")
		m.Delete(key(i))
		m.Set(key(i), "v")
	}
	for c := range Diff(old, m.View()) {
		require.Fail(t, "a change", "%+v", c)
	}
}

func TestDiffStopsWhenTold(t *testing.T) {
	m := New()
	empty := m.View()
	for i := range 2_000 {
		m.Set(key(i), "v")
	}
	full := m.View()
	chain := newTwin(0)
	for i := range 100 {
		chain.set(t, key(i), "v")
	}
	chained := chain.m.View()
	for i := range 100 {
		chain.set(t, key(i), "w")
	}
	for name, views := range map[string][2]View{
		"grown": {empty, full}, "shrunk": {full, empty}, "from nothing": {{}, full}, "to nothing": {full, {}},
		"a chain": {chained, chain.m.View()},
	} {
		for _, at := range []int{1, 7, 99} {
			n := 0
			for range Diff(views[0], views[1]) {
				if n++; n == at {
					break
				}
			}
			require.Equal(t, at, n, name)
		}
	}
}

func TestDiffOfTwoMapsPanics(t *testing.T) {
	require.Panics(t, func() { Diff(filled(1).View(), filled(1).View()) })
}

// Diff reads nodes that the owner goes on to copy. The race detector watches.
func TestDiffWhileTheMapChanges(t *testing.T) {
	m := filled(3_000)
	old := m.View()
	for i := range 1_000 {
		m.Set(key(i), "w")
	}
	now, done := m.View(), make(chan int)
	go func() {
		n := 0
		for range 10 {
			for range Diff(old, now) {
				n++
			}
		}
		done <- n
	}()
	for i := range 3_000 {
		m.Set(key(i), "x")
		m.Delete(key(i / 2))
	}
	require.Equal(t, 10_000, <-done)
}

// Diff does not read the nodes that two views share, whatever the size of the map:
// it gives the same changes after these nodes were made unusable. Only nodes that
// the writes copied are left to read.
func TestDiffReadsOnlyNodesThatWereWritten(t *testing.T) {
	const changes = 10
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			old, new, model := changed(n, changes)
			left := spoilSharedNodes(old, new)
			require.LessOrEqual(t, left, 2*(1+4*changes), "a root, and at most three branches and a leaf for a key, of each view")
			found := map[string]Change{}
			for c := range Diff(old, new) {
				found[c.Key] = c
			}
			require.Equal(t, model, found)
		})
	}
}

// A negative control: a Diff that reads the nodes that two views share is noticed.
func TestReadingSharedNodesIsNoticed(t *testing.T) {
	old, new, _ := changed(1_000, 10)
	spoilSharedNodes(old, new)
	require.Panics(t, func() {
		for range new.All {
		}
	})
	require.Panics(t, func() {
		for range Diff(View{}, new) {
		}
	})
}

// changed returns two views of a map of n keys and the changes between them: sets,
// deletions and new keys.
func changed(n, changes int) (old, new View, model map[string]Change) {
	m := filled(n)
	old, model = m.View(), map[string]Change{}
	for i := range changes {
		switch k := key(i * n / changes); i % 3 {
		case 0:
			m.Set(k, "new")
			model[k] = Change{k, "v", "new", true, true, 0}
		case 1:
			m.Delete(k)
			model[k] = Change{k, "v", "", true, false, 0}
		case 2:
			k += " new"
			m.Set(k, "new")
			model[k] = Change{k, "", "new", false, true, 0}
		}
	}
	return old, m.View(), model
}

// spoilSharedNodes makes the nodes that are in both views unusable, and returns
// the number of all the others.
func spoilSharedNodes(old, new View) (left int) {
	before, after := freeze(old), freeze(new)
	for b := range before.branches {
		if _, shared := after.branches[b]; shared {
			b.slots = [fanout]child{}
			left -= 2
		}
	}
	for l := range before.leaves {
		if _, shared := after.leaves[l]; shared {
			l.count, l.depth = leafSize+1, 0
			left -= 2
		}
	}
	return left + len(before.branches) + len(before.leaves) + len(after.branches) + len(after.leaves)
}

func TestDiffAllocatesNothingPerChange(t *testing.T) {
	m := filled(10_000)
	old := m.View()
	for i := range 1_000 {
		m.Set(key(i), "w")
	}
	now := m.View()
	require.LessOrEqual(t, testing.AllocsPerRun(10, func() {
		for range Diff(old, now) {
		}
	}), 8.0)
}

// A control of compare: it sees a change too many, too few, twice, and a wrong one.
func TestCompareNoticesMistakes(t *testing.T) {
	m := filled(100)
	v := m.View()
	model := maps.Collect(v.All)
	m.Set(key(7), "w")
	m.Delete(key(8))
	later := maps.Clone(model)
	later[key(7)] = "w"
	delete(later, key(8))
	compare(t, v, m.View(), model, later)
	for name, spoil := range map[string]func(map[string]string){
		"too many":  func(want map[string]string) { want[key(7)] = "v" },
		"too few":   func(want map[string]string) { want[key(9)] = "w" },
		"a removal": func(want map[string]string) { want[key(8)] = "v" },
		"wrong":     func(want map[string]string) { want[key(7)] = "x" },
	} {
		want := maps.Clone(later)
		spoil(want)
		require.True(t, fails(func(t require.TestingT) { compare(t, v, m.View(), model, want) }), name)
	}
}

// fails reports whether a check fails.
func fails(check func(t require.TestingT)) bool {
	var f failure
	func() {
		defer func() { _ = recover() }()
		check(&f)
	}()
	return f.failed
}

type failure struct{ failed bool }

func (f *failure) Errorf(string, ...any) { f.failed = true }
func (f *failure) FailNow()              { panic("failed") }

// FuzzDiff writes as its bytes say, takes views between, and compares them all.
func FuzzDiff(f *testing.F) {
	f.Add([]byte("a set, a view, a set\x00\x01\x02"), byte(0))
	f.Add([]byte{255, 1, 2, 3, 255, 129, 130, 131, 255}, byte(1))
	f.Add([]byte{1, 1, 1, 255, 129, 255, 1, 255}, byte(2))
	f.Fuzz(func(t *testing.T, script []byte, collide byte) {
		w := newTwin([]uint64{^uint64(0), 0, 0xff << 56}[collide%3])
		const view = 255
		for i, b := range script[:min(len(script), 2_000)] {
			switch {
			case b == view && len(w.views) < 6:
				w.view()
			case b&0x80 == 0:
				for j := range int(b)%3*20 + 1 {
					w.set(t, key(int(b)+j), fmt.Sprint(i%5))
				}
			default:
				w.delete(t, key(int(b&0x7f)))
			}
		}
		w.compareAll(t)
	})
}

func BenchmarkDiff(b *testing.B) {
	for _, size := range []struct{ entries, changes int }{{1_000, 10}, {1_000_000, 10}, {1_000_000, 1_000}} {
		m := filled(size.entries)
		old := m.View()
		for i := range size.changes {
			m.Set(key(i*(size.entries/size.changes)), "w")
		}
		now := m.View()
		b.Run(fmt.Sprintf("%d of %d", size.changes, size.entries), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for range Diff(old, now) {
				}
			}
		})
	}
	b.Run("1000 Sets of 1000000 under a view", func(b *testing.B) {
		m := filled(1_000_000)
		for b.Loop() {
			_ = m.View()
			for i := range 1_000 {
				m.Set(key(i*1_000), "w")
			}
		}
	})
}

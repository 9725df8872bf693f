package trie

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// The owner never works in proportion to the size of the map: the first write
// after a view copies a leaf and the branches above, among a thousand keys and
// among a million.
func TestWritesAfterAViewCopyLittle(t *testing.T) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		m := filled(n)
		for name, write := range map[string]func(i int){
			"replace": func(i int) { m.Set(key(rand.IntN(n)), "new") },
			"insert":  func(i int) { m.Set(key(n+i), "new") },
			"delete":  func(i int) { m.Delete(key(n + i)) },
		} {
			t.Run(fmt.Sprintf("%s among %d", name, n), func(t *testing.T) {
				var nodes, bytes int
				for i := range 100 {
					_ = m.View()
					bytes = max(bytes, allocated(func() { write(i) }))
					nodes = max(nodes, writableNodes(m))
				}
				require.LessOrEqual(t, nodes, 10)
				require.LessOrEqual(t, bytes, 12<<10) // ten leaves
			})
		}
	}
}

// writableNodes counts the nodes of the current epoch, which no view can reach.
func writableNodes(m *Map) (count int) {
	seen := map[*leaf]bool{}
	walk(m.root, func(b *branch) bool {
		if b.epoch == m.epoch {
			count++
		}
		return b.epoch == m.epoch // nothing below is newer
	}, func(l *leaf) {
		if l.epoch == m.epoch && !seen[l] {
			seen[l] = true
			count++
		}
	})
	return count
}

// A control of the measure: writableNodes counts no node, and all nodes.
func TestWritableNodesAreCounted(t *testing.T) {
	m := filled(5_000)
	all := check(t, m)
	require.Equal(t, all.branches+all.leaves, writableNodes(m))
	m.View()
	require.Zero(t, writableNodes(m))
	for i := range 5_000 {
		m.Set(key(i), "new")
	}
	require.Equal(t, all.branches+all.leaves, writableNodes(m))
}

func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// Clear, its undoing and Adopt copy nothing, among a thousand keys and among many.
func TestReplacingAllTakesConstantTime(t *testing.T) {
	for _, n := range []int{1_000, 200_000} {
		m := filled(n)
		other := NewLike(m.View())
		for i := range n {
			other.Set(key(i), "w")
		}
		var before View
		require.LessOrEqual(t, allocated(func() { before = m.Clear() }), 4<<10)
		require.LessOrEqual(t, allocated(func() { m.Restore(before) }), 4<<10)
		require.Equal(t, n, m.Len())
		require.LessOrEqual(t, allocated(func() { m.Adopt(other) }), 4<<10)
		require.Equal(t, n, m.Len())
	}
}

func TestAllocations(t *testing.T) {
	m := filled(10_000)
	v := m.View()
	present, missing := key(77), "missing"
	m.Set(present, "v") // copies the leaf
	require.Zero(t, testing.AllocsPerRun(1000, func() { m.Get(present) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { m.Get(missing) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { v.Get(present) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { m.Set(present, "w") }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { m.Delete(missing) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { m.Set(missing, "v"); m.Delete(missing) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { v = m.View() }))
	require.Zero(t, testing.AllocsPerRun(10, func() {
		for range v.All {
		}
	}))
}

// The nodes take less than 64 bytes an entry, without the strings.
func TestBytesPerEntry(t *testing.T) {
	for _, n := range []int{1_000, 20_000} {
		found := check(t, filled(n))
		perEntry := float64(found.branches*branchBytes+found.leaves*leafBytes) / float64(n)
		require.Less(t, perEntry, 64.0, "among %d", n)
	}
}

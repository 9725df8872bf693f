package trie

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// No turn of the owner is proportional to the size of the map: the first write
// after a view copies a leaf and the branches above it, whether there are a
// thousand keys or a million.
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
					nodes = max(nodes, owned(m))
				}
				require.LessOrEqual(t, nodes, 10)
				require.LessOrEqual(t, bytes, 8<<10)
			})
		}
	}
}

// owned counts the nodes of the current epoch: those made since the last view.
func owned(m *Map) (count int) {
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

// The measure itself: it tells a copy of everything from a copy of little.
func TestOwnedCountsWhatWasCopied(t *testing.T) {
	m := filled(5_000)
	all := check(t, m)
	require.Equal(t, all.branches+all.leaves, owned(m))
	m.View()
	require.Zero(t, owned(m))
	for i := range 5_000 {
		m.Set(key(i), "new")
	}
	require.Equal(t, all.branches+all.leaves, owned(m))
}

func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
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

// What an entry takes besides its strings.
func TestBytesPerEntry(t *testing.T) {
	for _, n := range []int{1_000, 20_000} {
		found := check(t, filled(n))
		perEntry := float64(found.branches*branchBytes+found.leaves*leafBytes) / float64(n)
		require.Less(t, perEntry, 64.0, "among %d", n)
	}
}

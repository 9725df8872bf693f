package trie

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"
)

// populations are maps for a key to be in: nearly empty, with a leaf that the key
// fills, with divided leaves, and with chained leaves.
var populations = map[string]func() *Map{
	"alone":          New,
	"among 5":        func() *Map { return filled(5) },
	"in a full leaf": func() *Map { return filled(leafSize - 1) },
	"among 1000":     func() *Map { return filled(1_000) },
	"in a chain":     func() *Map { return colliding(3 * leafSize) },
}

// colliding returns a map of n keys with the same hash.
func colliding(n int) *Map {
	m := New()
	m.keep = 0
	for i := range n {
		m.Set(key(i), "v")
	}
	return m
}

// overwrites are the ways to be rid of the strings of the key "large".
var overwrites = map[string]func(m *Map){
	"Set":     func(m *Map) { m.Set("large", "small") },
	"AddAll":  func(m *Map) { m.AddAll([]string{"large", "not added"}, []string{"small", ""}, nil) },
	"Replace": func(m *Map) { m.Replace(Entry{Key: "large", Value: "small"}) },
	"Delete":  func(m *Map) { m.Delete("large") },
	"Remove":  func(m *Map) { m.Remove("large") },
	"Delete, Set": func(m *Map) {
		m.Delete("large")
		m.Set("large", "small")
	},
}

// Replaced and deleted strings are garbage with the last view of them, and at
// once without a view: values, and the strings that keys were cut from.
func TestOldStringsAreGarbage(t *testing.T) {
	for where, population := range populations {
		for name, overwrite := range overwrites {
			for what, set := range map[string]func(m *Map) weak.Pointer[byte]{
				"value": setLargeValue, "key": setCutKey,
			} {
				t.Run(fmt.Sprintf("%s %s, %s", what, where, name), func(t *testing.T) {
					m := population()
					large := set(m)
					view := m.View()
					overwrite(m)
					runtime.GC()
					require.NotNil(t, large.Value(), "the view has the string still")
					runtime.KeepAlive(view)
					runtime.GC()
					require.Nil(t, large.Value(), "no view is left")

					m.Delete("large")
					large = set(m)
					overwrite(m)
					runtime.GC()
					require.Nil(t, large.Value(), "without a view")
					runtime.KeepAlive(m)
				})
			}
		}
	}
}

// setLargeValue gives the key "large" a value of 1 MiB.
//
//go:noinline
func setLargeValue(m *Map) weak.Pointer[byte] {
	value := strings.Repeat("x", 1<<20)
	m.Set("large", value)
	return weakOf(value)
}

// setCutKey sets the key "large", cut from a string of 1 MiB.
//
//go:noinline
func setCutKey(m *Map) weak.Pointer[byte] {
	whole := "large" + strings.Repeat("x", 1<<20)
	m.Set(whole[:len("large")], "v")
	return weakOf(whole)
}

func weakOf(s string) weak.Pointer[byte] { return weak.Make(unsafe.StringData(s)) }

// A write is undone with the previous entry. The map then holds the strings from
// before, not equal ones of the write.
func TestAnUndoneWriteLeavesNoStrings(t *testing.T) {
	for where, population := range populations {
		for name, write := range map[string]func(m *Map, key string) (Entry, bool){
			"Replace": func(m *Map, key string) (Entry, bool) { return m.Replace(Entry{Key: key, Value: "new"}) },
			"Remove":  func(m *Map, key string) (Entry, bool) { return m.Remove(key) },
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				m := population()
				before := Entry{Key: strings.Clone("large"), Value: strings.Clone("old value")}
				m.Set(before.Key, before.Value)
				whole := undone(t, m, write)
				runtime.GC()
				require.Nil(t, whole.Value())
				after, existed := m.Remove("large")
				require.True(t, existed)
				require.Equal(t, before, after)
				require.Same(t, unsafe.StringData(before.Key), unsafe.StringData(after.Key))
				require.Same(t, unsafe.StringData(before.Value), unsafe.StringData(after.Value))
			})
		}
	}
}

//go:noinline
func undone(t *testing.T, m *Map, write func(m *Map, key string) (Entry, bool)) weak.Pointer[byte] {
	whole := "large" + strings.Repeat("x", 1<<20)
	old, existed := write(m, whole[:len("large")])
	require.True(t, existed)
	m.Replace(old)
	return weakOf(whole)
}

// After any writes, the strings in memory are those of the map: no leaf that was
// copied, divided, joined or removed from keeps another.
func TestNoOtherStringsAreAlive(t *testing.T) {
	for name, keep := range map[string]uint64{"whole hashes": ^uint64(0), "collisions": 0xff << lastShift} {
		t.Run(name, func(t *testing.T) {
			m := New()
			m.keep = keep
			seen := map[weak.Pointer[byte]]bool{}
			for step := range 6 {
				churn(m, seen, step < 3)
				runtime.GC()
				require.Equal(t, stringsOf(m), alive(seen))
			}
		})
	}
}

// churn writes at random, mostly Sets if growing, and adds every string to seen.
//
//go:noinline
func churn(m *Map, seen map[weak.Pointer[byte]]bool, growing bool) {
	for range 3_000 {
		k := strings.Repeat("k", 20) + key(rand.IntN(1_000)) // too long for the allocator to share a block
		value := strings.Repeat("v", 40)
		seen[weakOf(k)], seen[weakOf(value)] = true, true
		switch write := rand.IntN(10); {
		case write == 0:
			m.View()
		case growing == (write < 8):
			m.Set(k, value)
		default:
			m.Delete(k)
		}
	}
}

func stringsOf(m *Map) map[weak.Pointer[byte]]bool {
	found := map[weak.Pointer[byte]]bool{}
	for key, value := range m.View().All {
		found[weakOf(key)], found[weakOf(value)] = true, true
	}
	return found
}

func alive(seen map[weak.Pointer[byte]]bool) map[weak.Pointer[byte]]bool {
	left := maps.Clone(seen)
	maps.DeleteFunc(left, func(s weak.Pointer[byte], _ bool) bool { return s.Value() == nil })
	return left
}

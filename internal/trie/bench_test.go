package trie

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// sizes are numbers of keys of 12 bytes. Each benchmark runs a trie and a Go map.
var sizes = []int{1_000, 100_000, 1_000_000}

// shuffled returns n keys in an order unrelated to their places in memory and to
// the order of insertion.
func shuffled(n int) []string {
	keys := make([]string, n)
	for i, j := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		keys[j] = key(i)
	}
	return keys
}

func goMap(n int) map[string]string {
	m := make(map[string]string)
	for i := range n {
		m[key(i)] = "v"
	}
	return m
}

// bench runs op on the keys in turn.
func bench(b *testing.B, name string, keys []string, op func(key string)) {
	b.Run(fmt.Sprintf("%s/%d", name, len(keys)), func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			op(keys[i])
			if i++; i == len(keys) {
				i = 0
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	for _, n := range sizes {
		keys, m, other := shuffled(n), filled(n), goMap(n)
		v := m.View()
		bench(b, "trie", keys, func(key string) { m.Get(key) })
		bench(b, "view", keys, func(key string) { v.Get(key) })
		bench(b, "map", keys, func(key string) { sink = other[key] })
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range sizes {
		keys, m, other := shuffled(n), filled(n), goMap(n)
		bench(b, "trie", keys, func(key string) { m.Set(key, key) })
		bench(b, "map", keys, func(key string) { other[key] = key })
	}
}

func BenchmarkFill(b *testing.B) {
	for _, n := range append([]int{4_000_000}, sizes...) {
		keys := shuffled(n)
		benchFill(b, "trie", n, func() any {
			m := New()
			for _, key := range keys {
				m.Set(key, key)
			}
			return m
		})
		benchFill(b, "trie, all at once", n, func() any {
			m := New()
			m.AddAll(keys, keys, nil)
			return m
		})
		benchFill(b, "map", n, func() any {
			m := map[string]string{}
			for _, key := range keys {
				m[key] = key
			}
			return m
		})
	}
}

// benchFill also reports the memory of the result, without the strings.
func benchFill(b *testing.B, name string, n int, fill func() any) {
	b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
		for b.Loop() {
			fill()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
		b.ReportMetric(0, "ns/op")
		before := heap()
		m := fill()
		b.ReportMetric(float64(heap()-before)/float64(n), "B/entry")
		runtime.KeepAlive(m)
	})
}

func heap() uint64 {
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return now.HeapAlloc
}

func BenchmarkAll(b *testing.B) {
	for _, n := range sizes {
		v, other := filled(n).View(), goMap(n)
		benchAll(b, "trie", n, v.All)
		benchAll(b, "map", n, func(yield func(key, value string) bool) {
			for key, value := range other {
				if !yield(key, value) {
					return
				}
			}
		})
	}
}

func benchAll(b *testing.B, name string, n int, all func(yield func(key, value string) bool)) {
	b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
		for b.Loop() {
			for key := range all {
				sink = key
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkView has no counterpart: a Go map can only be copied.
func BenchmarkView(b *testing.B) {
	for _, n := range append([]int{4_000_000}, sizes...) {
		m := filled(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.View()
			}
		})
	}
}

func BenchmarkFirstSetAfterAView(b *testing.B) {
	for _, n := range sizes {
		m := filled(n)
		bench(b, "trie", shuffled(n), func(key string) {
			m.View()
			m.Set(key, "new")
		})
	}
}

var sink string

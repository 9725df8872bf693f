package trie

import (
	"fmt"
	"runtime"
	"testing"
)

func keys(n int) []string {
	k := make([]string, n)
	for i := range k {
		k[i] = fmt.Sprintf("key:%08d", i*7919%n)
	}
	return k
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{100, 1000, 10000, 100000, 1000000} {
		ks := keys(n)
		m := New()
		g := map[string]string{}
		for _, k := range ks {
			m.Set(k, k)
			g[k] = k
		}
		b.Run(fmt.Sprint("trie/", n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				m.Get(ks[i])
				if i++; i == n {
					i = 0
				}
			}
		})
		b.Run(fmt.Sprint("map/", n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				_ = g[ks[i]]
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}

func BenchmarkFill(b *testing.B) {
	for _, n := range []int{1000, 100000, 1000000} {
		ks := keys(n)
		b.Run(fmt.Sprint("trie/", n), func(b *testing.B) {
			for b.Loop() {
				m := New()
				for _, k := range ks {
					m.Set(k, k)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
		b.Run(fmt.Sprint("map/", n), func(b *testing.B) {
			for b.Loop() {
				m := map[string]string{}
				for _, k := range ks {
					m[k] = k
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func TestMem(t *testing.T) {
	for _, n := range []int{1000, 30000, 100000, 300000, 1000000, 1300000, 2000000} {
		ks := keys(n)
		h := heap()
		m := New()
		for _, k := range ks {
			m.Set(k, k)
		}
		h2 := heap()
		g := map[string]string{}
		for _, k := range ks {
			g[k] = k
		}
		h3 := heap()
		t.Logf("%d: trie %.1f map %.1f B/entry", n, float64(h2-h)/float64(n), float64(h3-h2)/float64(n))
		runtime.KeepAlive(m)
		runtime.KeepAlive(g)
		runtime.KeepAlive(ks)
	}
}

func BenchmarkViewSet(b *testing.B) {
	n := 1000000
	ks := keys(n)
	m := New()
	for _, k := range ks {
		m.Set(k, k)
	}
	i := 0
	for b.Loop() {
		m.View()
		m.Set(ks[i], "x")
		if i++; i == n {
			i = 0
		}
	}
}

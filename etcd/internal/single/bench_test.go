package single

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/etcd"
)

// The rates are those of pairs that take turns within one run, so that a busy machine is busy for
// both. GENIE_FSYNC=1 has the server sync its log, as servers do.

var keys = flag.Int("keys", 100_000, "how many keys the replica of the benchmarks of a start has")

// BenchmarkGet compares a Get of the replica with one of a genie.Store with the same entries.
func BenchmarkGet(b *testing.B) {
	c := newCluster(b)
	s := c.near()
	plain, err := genie.NewStore(genie.WithoutFile())
	require.NoError(b, err)
	c.load(1000)
	require.NoError(b, s.Sync(b.Context()))
	for key, value := range s.All() {
		plain.Set(key, value)
	}
	names := make([]string, 1000)
	for i := range names {
		names[i] = name(i)
	}
	takeTurns(b, 64,
		side{"etcd", func(i int) error { s.Get(names[i%1000]); return nil }},
		side{"genie", func(i int) error { plain.Get(names[i%1000]); return nil }})
}

// BenchmarkSet compares a Set, which is acknowledged and visible, with a bare Put, which is
// acknowledged. The watched ones are bare Puts under a prefix that another bare client watches:
// what a Set by itself can be at best, because etcd sends each revision in a message of its own.
func BenchmarkSet(b *testing.B) {
	for _, callers := range []int{1, 4, 16, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := newCluster(b)
			s, bare := c.near(), dial(b, c.address())
			ctx := b.Context()
			events := dial(b, c.address()).Watch(ctx, "watched/", clientv3.WithPrefix())
			go func() {
				for range events {
				}
			}()
			put := func(under string) func(i int) error {
				return func(i int) error {
					_, err := bare.Put(ctx, under+name(i%1000), "value")
					return err
				}
			}
			takeTurns(b, callers,
				side{"etcd", func(i int) error { return s.Set(ctx, name(i%1000), "value") }},
				side{"bare", put("bare/")},
				side{"watched", put("watched/")})
		})
	}
}

// BenchmarkUpdate compares an Update of a key of its own with the same transaction by hand: a
// read, and a write that compares.
func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := newCluster(b)
			s, bare := c.near(), dial(b, c.address())
			ctx := b.Context()
			takeTurns(b, callers,
				side{"etcd", func(i int) error { return s.Update(ctx, increment(name(i%1000))) }},
				side{"bare", func(i int) error {
					key := "bare/" + name(i%1000)
					now, err := bare.Get(ctx, key)
					if err != nil {
						return err
					}
					at := int64(0)
					if len(now.Kvs) > 0 {
						at = now.Kvs[0].ModRevision
					}
					_, err = bare.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", at)).Then(clientv3.OpPut(key, "1")).Commit()
					return err
				}})
		})
	}
}

// BenchmarkSync compares a Sync with a read of etcd.
func BenchmarkSync(b *testing.B) {
	c := newCluster(b)
	s, bare := c.near(), dial(b, c.address())
	ctx := b.Context()
	takeTurns(b, 1,
		side{"etcd", func(int) error { return s.Sync(ctx) }},
		side{"bare", func(int) error { _, err := bare.Get(ctx, "key"); return err }})
}

// BenchmarkOther measures the time from the call of a Set at one replica until another shows it.
func BenchmarkOther(b *testing.B) {
	c := newCluster(b)
	here, there := c.near(), c.near()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	seen := make(chan string, 1)
	go func() {
		for view := range there.Watch(ctx) {
			if value, ok := view.Get("key"); ok {
				seen <- value
			}
		}
	}()
	for i := 0; b.Loop(); i++ {
		value := fmt.Sprint(i)
		go here.Set(ctx, "key", value)
		for <-seen != value {
		}
	}
}

// BenchmarkStart measures a start from the file, with the cluster, and from the cluster alone, and
// the memory of an entry; and a bare client that reads the keys, in one answer, and keeps
// nothing. The flag -keys has the number of keys.
func BenchmarkStart(b *testing.B) {
	c := newCluster(b)
	c.load(*keys)
	path := filepath.Join(b.TempDir(), "replica.json")
	seed := c.near()
	var backup bytes.Buffer
	_, err := seed.WriteTo(&backup)
	require.NoError(b, err)
	require.NoError(b, seed.Close())
	for name, opts := range map[string][]etcd.Option{"file": {etcd.WithFile(path)}, "cluster": nil} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				require.NoError(b, os.WriteFile(path, backup.Bytes(), 0o600))
				before := heap()
				b.StartTimer()
				s := c.near(opts...)
				b.StopTimer()
				require.Equal(b, *keys, s.Len())
				b.ReportMetric(float64(heap()-before)/float64(*keys), "B/entry")
				require.NoError(b, s.Close())
				b.StartTimer()
			}
		})
	}
}

// near returns a Store that does not go through the proxy.
func (c *cluster) near(opts ...etcd.Option) *etcd.Store {
	opts = append(opts, etcd.WithTimeout(time.Minute))
	s, err := etcd.Open(c.t.Context(), dial(c.t, c.address()), prefix, opts...)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { s.Close() })
	return s
}

func BenchmarkBareRead(b *testing.B) {
	c := newCluster(b)
	c.load(*keys)
	bare := dial(b, c.address())
	for b.Loop() {
		_, err := bare.Get(b.Context(), prefix, clientv3.WithPrefix())
		require.NoError(b, err)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func name(i int) string { return fmt.Sprintf("key%08d", i) }

// load writes n keys, in transactions of 128.
func (c *cluster) load(n int) {
	c.t.Helper()
	ctx := c.t.Context()
	for from := 0; from < n; from += 128 {
		var ops []clientv3.Op
		for i := from; i < min(from+128, n); i++ {
			ops = append(ops, clientv3.OpPut(prefix+name(i), fmt.Sprintf("value%027d", i)))
		}
		_, err := c.direct.Txn(ctx).Then(ops...).Commit()
		require.NoError(c.t, err)
	}
}

// A side is one of two that are compared.
type side struct {
	name string
	call func(i int) error
}

// takeTurns has two sides make b.N calls each, in 30 turns, and reports the time of a call of each
// and the ratio of the first to the second: the medians of the turns, because a turn in which
// the machine does other work says nothing.
func takeTurns(b *testing.B, callers int, sides ...side) {
	const turns = 30
	took := make([][]float64, len(sides))
	var ratios []float64
	each := b.N/turns/callers + 1
	b.ResetTimer()
	for turn := range turns {
		for i := range sides {
			at := (i + turn) % len(sides) // neither side is always the first
			took[at] = append(took[at], turnOf(b, callers, each, sides[at].call).Seconds()*1e6/float64(callers*each))
		}
		ratios = append(ratios, took[0][turn]/took[1][turn])
	}
	for i, s := range sides {
		b.ReportMetric(median(took[i]), "µs/"+s.name)
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

var turnCalls atomic.Int64 // numbers the calls of all turns

func turnOf(b *testing.B, callers, each int, call func(i int) error) time.Duration {
	began := time.Now()
	require.NoError(b, inParallel(callers, func(int) error {
		for range each {
			if err := call(int(turnCalls.Add(1))); err != nil {
				return err
			}
		}
		return nil
	}))
	return time.Since(began)
}

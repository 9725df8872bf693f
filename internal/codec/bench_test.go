package codec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/codec"
	"github.com/windevkay/forge/genie/internal/trie"
)

// sizes are numbers of entries of about 64 bytes in the file.
var sizes = []int{1_000, 100_000, 1_000_000}

// kinds of values of equal length: without escapes, with escapes, and with mostly
// characters beyond ASCII.
var kinds = []struct{ name, value string }{
	{"plain", "the quick brown fox jumps over 13 dogs"},
	{"escapes", "the \"quick\" brown fox\njumps over 13 dog"},
	{"beyondASCII", "Größe, élan, ключ, 鍵, ağaç"},
}

func BenchmarkEncode(b *testing.B) {
	for _, kind := range kinds {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", kind.name, n), func(b *testing.B) { benchmarkEncode(b, n, kind.value) })
		}
	}
}

func benchmarkEncode(b *testing.B, n int, value string) {
	entries := trie.New()
	plain := make(map[string]string)
	for key, value := range members(n, value) {
		entries.Set(key, value)
		plain[key] = value
	}
	compare(b, n, func() {
		_, err := codec.Encode(io.Discard, func(yield func(codec.Entry) bool) {
			entries.View().Entries(func(e trie.Entry) bool { return yield(codec.Entry(e)) })
		})
		require.NoError(b, err)
	}, func() {
		_, err := json.Marshal(plain)
		require.NoError(b, err)
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, kind := range kinds {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", kind.name, n), func(b *testing.B) { benchmarkDecode(b, n, kind.value) })
		}
	}
}

func benchmarkDecode(b *testing.B, n int, value string) {
	var text bytes.Buffer
	_, err := codec.Encode(&text, untimed(members(n, value)))
	require.NoError(b, err)
	compare(b, n, func() {
		entries := trie.New()
		require.NoError(b, codec.Decode(bytes.NewReader(text.Bytes()), entries.AddAll))
	}, func() {
		var entries map[string]string
		require.NoError(b, json.Unmarshal(text.Bytes(), &entries))
	})
}

// members yields n entries in no order of keys.
func members(n int, value string) func(yield func(key, value string) bool) {
	return func(yield func(key, value string) bool) {
		for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
			if !yield(fmt.Sprintf("key:%09d", i), value+fmt.Sprintf("%04d", i%10_000)) {
				return
			}
		}
	}
}

// compare runs ours and theirs in turns, so that other work of the machine slows
// both, and reports the medians of the times and of the ratios.
func compare(b *testing.B, n int, ours, theirs func()) {
	var mine, others, ratios []float64
	for b.Loop() {
		own, other := timed(ours), timed(theirs)
		mine = append(mine, own/float64(n))
		others = append(others, other/float64(n))
		ratios = append(ratios, own/other)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(mine), "ns/entry")
	b.ReportMetric(median(others), "json-ns/entry")
	b.ReportMetric(median(ratios), "of-json")
}

func timed(f func()) (nanoseconds float64) {
	runtime.GC() // or f would pay for the garbage of the call before
	start := time.Now()
	f()
	return float64(time.Since(start))
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// Package measure puts a system through its work and observes it. One process
// measures one system.
package measure

import (
	"encoding/binary"
	"encoding/hex"
	"iter"
)

// A Version is the number of a fill. Each fill has its own values.
type Version uint64

const (
	Old Version = iota
	New
)

// Key returns the i-th key: 16 bytes, in no order.
func Key(i int) string {
	var raw [8]byte
	return hex.EncodeToString(put(raw[:], scramble(uint64(i))))
}

// Keys returns the keys of the callers: all of them, or as many as fit well
// beside a large store.
func Keys(entries int) []string {
	const most = 1 << 20
	list := make([]string, min(entries, most))
	for i := range list {
		list[i] = Key(i)
	}
	return list
}

// Value returns the value of the i-th key in a version: 40 to 60 bytes of text.
func Value(i int, version Version) string {
	const shortest, longest = 40, 60
	seed := scramble(uint64(i)<<8 + uint64(version) + 1<<63)
	length := shortest + int(seed%(longest-shortest+1))
	var raw [longest/2 + 2]byte // whole words
	var text [2 * len(raw)]byte
	for at := 0; at < len(raw); at += 8 {
		seed = scramble(seed)
		put(raw[at:], seed)
	}
	hex.Encode(text[:], raw[:])
	return string(text[:length])
}

// put writes x to the start of b and returns the bytes of x.
func put(b []byte, x uint64) []byte {
	binary.BigEndian.PutUint64(b, x)
	return b[:8]
}

// scramble is the mixing step of SplitMix64: a bijection, so no two keys meet.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Pairs yields n freshly allocated entries: a store shares no memory with the
// harness.
func Pairs(n int, version Version) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range n {
			if !yield(Key(i), Value(i, version)) {
				return
			}
		}
	}
}

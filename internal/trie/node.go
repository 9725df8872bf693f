package trie

import (
	"encoding/binary"
	"math/bits"
)

// leafSize is a compromise: a larger leaf makes a shallower trie, a smaller one
// less to copy for the first write after a view. 32 entries are 1 KiB.
//
// Four entries fewer would fit the allocator's class of 1024 bytes without loss.
// But then the tags of all leaves are a power of two apart and share a few sets
// of the CPU's caches: a Get among a million keys takes longer.
const leafSize = 32

// A branch leads to its children by indexBits of the hash.
type branch struct {
	slots [fanout]child // first, so that no child straddles two cache lines
	epoch uint64
}

// A child is a branch or a leaf. Two fields rather than an interface: the test
// that tells them apart reads the pointer that is needed next anyway.
//
// Invariant: exactly one of them is nil.
type child struct {
	branch *branch
	leaf   *leaf
}

// A leaf holds the entries whose hashes lead to it, in no order.
type leaf struct {
	// tags[i] is the lowest byte of the hash of entries[i], so that a search
	// compares eight entries at a time and seldom looks at a wrong key.
	tags  [leafSize]uint8
	epoch uint64

	// paths[i] is 16 more bits of that hash, from pathShift up: those that divide
	// leaves in maps of a few hundred entries to 20 million. Without them each
	// division would read all its keys to hash them again, two fifths of the time
	// of a Set of a new key. The allocator would round the space up anyway.
	paths [leafSize]uint16

	// depth is how many bits of its branch's index the keys of the leaf share.
	//
	// Invariant: fanout>>depth neighbouring slots of the branch hold this leaf.
	depth uint8
	count uint8

	// next goes on with the leaf where the hash has no bits left to divide it
	// by, which takes leafSize keys with 56 bits in common.
	//
	// Invariant: only the first leaf of a chain has room.
	next *leaf

	// Invariant: entries[count:] are zero, so they keep nothing alive.
	entries [leafSize]entry
}

type entry struct{ key, value string }

// get returns the value of key under b, the root.
func (b *branch) get(hash uint64, key string) (value string, ok bool) {
	shift := uint(rootShift)
	for {
		slot := &b.slots[hash>>(shift%64)%fanout]
		if slot.branch == nil {
			if at, i := slot.leaf.find(hash, key); at != nil {
				return at.entries[i].value, true
			}
			return "", false
		}
		b = slot.branch
		shift -= indexBits
	}
}

// fetchLeaves reads a little of every leaf under b that one of hashes leads to,
// where a Set would read and write. See leaf.fetch.
//
//go:noinline
func (b *branch) fetchLeaves(hashes []uint64) (sum byte) {
	for _, hash := range hashes {
		at, shift := b, uint(rootShift)
		slot := at.slots[hash>>(shift%64)%fanout]
		for slot.branch != nil {
			at, shift = slot.branch, shift-indexBits
			slot = at.slots[hash>>(shift%64)%fanout]
		}
		l := slot.leaf
		sum += l.tags[0] + byte(l.paths[0]) + byte(len(l.entries[l.count%leafSize].key))
	}
	return sum
}

// place puts l into every slot of b that is l's by its depth.
func (b *branch) place(l *leaf, shift uint, hash uint64) {
	width := uint64(fanout) >> l.depth
	first := hash >> shift % fanout &^ (width - 1)
	for i := range width {
		b.slots[first+i] = child{leaf: l}
	}
}

// all calls yield for every entry under b until it returns false.
func (b *branch) all(yield func(key, value string) bool) bool {
	for i := 0; i < fanout; {
		if below := b.slots[i].branch; below != nil {
			if !below.all(yield) {
				return false
			}
			i++
			continue
		}
		l := b.slots[i].leaf
		i += fanout >> l.depth
		for ; l != nil; l = l.next {
			l.fetch()
			for j := range l.entries[:l.count] {
				if !yield(l.entries[j].key, l.entries[j].value) {
					return false
				}
			}
		}
	}
	return true
}

// fetch reads a byte of every string in l. Their places in memory have nothing to
// do with each other, so whoever uses the entries in turn waits for memory at
// each; here the CPU has as many reads under way as it can. A backup of a million
// entries takes half the time.
//
//go:noinline // or the compiler would see that nobody wants the result
func (l *leaf) fetch() (sum byte) {
	for i := range l.entries[:l.count] {
		e := &l.entries[i]
		if e.key != "" {
			sum += e.key[0]
		}
		if e.value != "" {
			sum += e.value[0]
		}
	}
	return sum
}

// find returns where key is in l or the leaves chained to it, or nil.
func (l *leaf) find(hash uint64, key string) (at *leaf, i int) {
	for ; l != nil; l = l.next {
		for tagged := l.tagged(hash); tagged != 0; tagged &= tagged - 1 {
			i := bits.TrailingZeros32(tagged) % leafSize
			if l.entries[i].key == key {
				return l, i
			}
		}
	}
	return nil, 0
}

// tagged returns a set of entries, one bit each: all that have the tag of hash,
// and hardly any other. There is no branch in it for the CPU to mispredict.
func (l *leaf) tagged(hash uint64) uint32 {
	tag := hash & 0xff * lowBits
	set := same(l.tags[0:8], tag) |
		same(l.tags[8:16], tag)<<8 |
		same(l.tags[16:24], tag)<<16 |
		same(l.tags[24:32], tag)<<24
	return set & uint32(uint64(1)<<(l.count%64)-1)
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// same returns which of eight tags are tag, which has it eight times. A byte of
// x is zero where they are, and zeros has the high bit of that byte set, and
// perhaps that of the byte above (H. Warren, "Hacker's Delight", §6-1). The
// product gathers those bits in its topmost byte.
func same(tags []uint8, tag uint64) uint32 {
	x := binary.LittleEndian.Uint64(tags) ^ tag
	zeros := (x - lowBits) &^ x & highBits
	return uint32(zeros >> 7 * 0x0102040810204080 >> 56)
}

// add puts e into l, which has room for it.
func (l *leaf) add(hash uint64, e entry) {
	l.tags[l.count], l.paths[l.count] = uint8(hash), uint16(hash>>pathShift)
	l.entries[l.count] = e
	l.count++
}

// take adds a copy of entry i of from to l, which has room for it.
func (l *leaf) take(from *leaf, i int) {
	l.put(int(l.count), from, i)
	l.count++
}

// put makes entry i of from, with its hash, entry at of l.
func (l *leaf) put(at int, from *leaf, i int) {
	l.tags[at], l.paths[at], l.entries[at] = from.tags[i], from.paths[i], from.entries[i]
}

// remove takes key, which is there, out of the chain and returns its value. The
// last entry of the first leaf takes its place.
func (l *leaf) remove(hash uint64, key string) (old string) {
	at, i := l.find(hash, key)
	old = at.entries[i].value
	l.count--
	at.put(i, l, int(l.count))
	l.entries[l.count] = entry{}
	if l.count == 0 && l.next != nil {
		*l = *l.next
	}
	return old
}

// copied returns a copy of the whole chain, made in epoch.
func (l *leaf) copied(epoch uint64) *leaf {
	c := *l
	c.epoch = epoch
	if l.next != nil {
		c.next = l.next.copied(epoch)
	}
	return &c
}

package trie

import (
	"encoding/binary"
	"math/bits"
)

// leafSize is a compromise: a larger leaf makes a shallower trie, a smaller leaf
// means less to copy for the first write after a view. 32 entries are 1 KiB.
//
// Rejected: 28, which fills the allocator's class of 1024 bytes without loss. The
// tags of all leaves are a power of two apart in memory then and share a few sets
// of the CPU's caches: a Get among a million keys takes longer
// (go test -bench Get ./internal/trie).
const leafSize = 32

// A branch leads to its children by indexBits of the hash.
type branch struct {
	slots [fanout]child // first, so that no child straddles two cache lines
	epoch uint64

	// earliest is 0 if no entry below has a deadline, else a lower bound of the deadlines
	// below. A write that removes a deadline leaves the bound unchanged: an exact bound
	// would need a look at all entries beside. See Map.Expire.
	earliest int64
}

// A child is a branch or a leaf. Two fields rather than an interface: telling a
// branch from a leaf reads the pointer that is needed next anyway.
//
// Invariant: exactly one field is nil.
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

	// paths[i] is 16 more bits of the same hash, from pathShift up: the bits that
	// divide leaves in maps of a few hundred to 20 million entries. Without paths,
	// each division would read and hash all keys of the leaf again, which was two
	// fifths of the time to set a new key (go test -bench Fill ./internal/trie).
	// The allocator would round the space up anyway.
	paths [leafSize]uint16

	// depth is how many bits of its branch's index the keys of the leaf share.
	//
	// Invariant: fanout>>depth neighbouring slots of the branch hold this leaf.
	depth uint8
	count uint8

	// next continues a leaf that the hash has no bits left to divide: more than
	// leafSize keys have 56 bits in common.
	//
	// Invariant: only the first leaf of a chain has room.
	next *leaf

	// deadlines is nil if no entry has a deadline. The field takes no memory: the allocator
	// would round up to these 8 bytes anyway.
	//
	// Invariant: no two leaves share their deadlines.
	deadlines *deadlines

	// Invariant: entries[count:] are zero and keep no string alive.
	entries [leafSize]pair
}

// A pair is an entry without its deadline.
type pair struct{ key, value string }

// slotIndex returns the slot that hash picks in a branch at shift. A shift is at
// most rootShift; the %64 changes no result, but spares the CPU a comparison.
func slotIndex(hash uint64, shift uint) uint64 { return hash >> (shift % 64) % fanout }

// find returns the leaf that holds key under b, the root, and the index of its entry.
// If key is missing, at is nil and i has no meaning.
func (b *branch) find(hash uint64, key string) (at *leaf, i int) {
	return b.leafOf(hash).find(hash, key)
}

// leafOf returns the leaf under b, the root, that hash leads to.
func (b *branch) leafOf(hash uint64) *leaf {
	for shift := uint(rootShift); ; shift -= indexBits {
		slot := &b.slots[slotIndex(hash, shift)]
		if slot.branch == nil {
			return slot.leaf
		}
		b = slot.branch
	}
}

// get returns the value of key under b, the root, unless the entry is over.
func (b *branch) get(hash uint64, key string, now int64) (value string, ok bool) {
	if at, i := b.leafOf(hash).find(hash, key); at != nil && !at.isOver(i, now) {
		return at.entries[i].value, true
	}
	return "", false
}

// fetchEntries reads a little of the leaf under b that each hash leads to, then of the
// entry in that leaf, then of the key of that entry. Each step is taken for all hashes
// before the next step, so the CPU waits for many reads at a time. Nothing uses the sum, as
// in leaf.fetch: a wrong result, or no call at all, changes the time alone (bench/ratios,
// "Set among many"; go test -bench Fill ./internal/trie).
//
//go:noinline
func (b *branch) fetchEntries(hashes *[atOnce]uint64, n int) (sum byte) {
	var leaves [atOnce]*leaf
	for i, hash := range hashes[:n] {
		leaves[i] = b.leafOf(hash)
		sum += leaves[i].tags[0] + byte(leaves[i].paths[0])
	}
	var entries [atOnce]*pair
	for i, hash := range hashes[:n] {
		l := leaves[i]
		entries[i] = &l.entries[bits.TrailingZeros32(l.tagged(hash))%leafSize]
		sum += byte(len(entries[i].key)) + byte(len(l.entries[l.count%leafSize].key))
	}
	for _, e := range entries[:n] {
		if e.key != "" {
			sum += e.key[0]
		}
	}
	return sum
}

// place puts l into all the slots of b that the depth of l gives it, of which
// hash picks one.
func (b *branch) place(l *leaf, shift uint, hash uint64) {
	width := uint64(fanout) >> l.depth
	first := slotIndex(hash, shift) &^ (width - 1)
	for i := range width {
		b.slots[first+i] = child{leaf: l}
	}
}

// leaves calls yield for every leaf in width slots of b, from slot i on, until yield
// returns false. The last child must end there.
func (b *branch) leaves(i, width int, yield func(l *leaf) bool) bool {
	for end := i + width; i < end; {
		if below := b.slots[i].branch; below != nil {
			if !below.leaves(0, fanout, yield) {
				return false
			}
			i++
			continue
		}
		l := b.slots[i].leaf
		i += fanout >> l.depth
		for ; l != nil; l = l.next {
			if !yield(l) {
				return false
			}
		}
	}
	return true
}

// fetch reads a byte of every string in l. The strings are scattered in memory, so
// a caller that uses one entry after the other waits for memory at each; here the
// CPU has as many reads under way as it can. Encoding a million entries takes half
// the time (go test -bench Encode ./internal/codec). fetch only reads, and nothing
// uses the sum: any other result, or no call at all, changes the time alone.
//
//go:noinline // or the compiler would see that the result is not used
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

// find returns the leaf of the chain l that holds key, and the index of its entry.
// If key is missing, at is nil and i has no meaning.
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

// tagged returns a set of entries, one bit each: every entry with the tag of hash,
// and hardly any more. The code has no branch for the CPU to mispredict; count is
// at most leafSize, so %64 changes no result, as in slotIndex.
func (l *leaf) tagged(hash uint64) uint32 {
	tag := hash & 0xff * lowBits
	set := same(l.tags[0:], tag) |
		same(l.tags[8:], tag)<<8 |
		same(l.tags[16:], tag)<<16 |
		same(l.tags[24:], tag)<<24
	return set & uint32(uint64(1)<<(l.count%64)-1)
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// same returns a bit for each of the first eight tags: whether it equals the tag
// that fills all bytes of tag. A byte of x is zero where the tags are equal. In
// zeros the high bit of such a byte is set, and perhaps the high bit of the byte
// above (H. Warren, "Hacker's Delight", §6-1). The product gathers the high bits
// in its topmost byte.
func same(tags []uint8, tag uint64) uint32 {
	x := binary.LittleEndian.Uint64(tags) ^ tag
	zeros := (x - lowBits) &^ x & highBits
	return uint32(zeros >> 7 * 0x0102040810204080 >> 56)
}

// entry returns entry i.
func (l *leaf) entry(i int) Entry {
	return Entry{l.entries[i].key, l.entries[i].value, l.deadline(i)}
}

// add puts an entry into l, which has room for it.
func (l *leaf) add(hash uint64, p pair, deadline int64) {
	l.tags[l.count], l.paths[l.count] = uint8(hash), uint16(hash>>pathShift)
	l.entries[l.count] = p
	if deadline != 0 {
		l.setDeadline(int(l.count), deadline)
	}
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
	if from.deadlines != nil || l.deadlines != nil {
		l.setDeadline(at, from.deadline(i))
	}
}

// remove takes the entry of key out of the chain and returns it. The key must be
// present.
func (l *leaf) remove(hash uint64, key string) (old pair, deadline int64) {
	at, i := l.find(hash, key)
	old, deadline = at.entries[i], at.deadline(i)
	l.removeAt(at, i)
	return old, deadline
}

// removeAt takes entry i of at, a leaf of the chain, out of the chain. The last entry of
// the first leaf fills the gap. removeAt reports whether the first leaf got empty: then the
// second has taken its place.
func (l *leaf) removeAt(at *leaf, i int) (replaced bool) {
	l.count--
	at.put(i, l, int(l.count))
	l.entries[l.count] = pair{}
	if l.deadlines != nil {
		l.deadlines.of[l.count] = 0
	}
	if replaced = l.count == 0 && l.next != nil; replaced {
		*l = *l.next
	}
	return replaced
}

// copied returns a copy of the whole chain, of the given epoch.
func (l *leaf) copied(epoch uint64) *leaf {
	c := *l
	c.epoch = epoch
	if l.deadlines != nil {
		d := *l.deadlines
		c.deadlines = &d
	}
	if l.next != nil {
		c.next = l.next.copied(epoch)
	}
	return &c
}

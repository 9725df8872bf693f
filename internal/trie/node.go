package trie

import (
	"encoding/binary"
	"math/bits"
)

// leafSize is a compromise: a larger leaf makes a shallower trie, a smaller one
// less to copy for the first write after a view. 32 entries are 1 KiB.
const leafSize = 32

// A branch leads to its children by indexBits of the hash.
type branch struct {
	epoch uint64
	slots [fanout]child
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

	// depth is how many bits of its branch's index the keys of the leaf share.
	//
	// Invariant: fanout>>depth neighbouring slots of the branch hold this leaf.
	depth uint8
	count uint8

	// next goes on with the leaf where the hash has no bits left to divide it
	// by, which takes leafSize keys with 58 bits in common.
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
			if e := slot.leaf.find(hash, key); e != nil {
				return e.value, true
			}
			return "", false
		}
		b = slot.branch
		shift -= indexBits
	}
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
			for j := range l.entries[:l.count] {
				if !yield(l.entries[j].key, l.entries[j].value) {
					return false
				}
			}
		}
	}
	return true
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// find returns the entry of key in l or the leaves chained to it, or nil.
//
// It compares eight tags at once: a byte of x is zero where a tag matches, and
// the expression for hits has the high bit of that byte set (H. Warren,
// "Hacker's Delight", §6-1). A false hit costs one comparison of keys.
func (l *leaf) find(hash uint64, key string) *entry {
	for ; l != nil; l = l.next {
		for i := 0; i < int(l.count); i += 8 {
			x := binary.LittleEndian.Uint64(l.tags[i:]) ^ (hash & 0xff * lowBits)
			for hits := (x - lowBits) &^ x & highBits; hits != 0; hits &= hits - 1 {
				j := i + bits.TrailingZeros64(hits)/8
				if j < int(l.count) && l.entries[j].key == key {
					return &l.entries[j]
				}
			}
		}
	}
	return nil
}

// withRoom returns the first leaf of the chain that is not full, or nil.
func (l *leaf) withRoom() *leaf {
	for l != nil && l.count == leafSize {
		l = l.next
	}
	return l
}

// add puts e into l, which has room for it.
func (l *leaf) add(hash uint64, e entry) {
	l.tags[l.count] = uint8(hash)
	l.entries[l.count] = e
	l.count++
}

// remove takes key, which is there, out of the chain and returns its value. The
// last entry of its leaf takes its place.
func (l *leaf) remove(hash uint64, key string) (old string) {
	for {
		for i := range l.entries[:l.count] {
			if l.entries[i].key != key {
				continue
			}
			old = l.entries[i].value
			l.count--
			l.tags[i] = l.tags[l.count]
			l.entries[i] = l.entries[l.count]
			l.entries[l.count] = entry{}
			return old
		}
		l = l.next
	}
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

// Package trie is the map a store owns: strings to strings, changed by one
// goroutine, with read-only views of any moment that cost the same whatever the
// size, last as long as anybody holds them, and need no release.
//
// It is a hash trie (P. Bagwell, "Ideal Hash Trees", 2001) whose leaves hold up
// to leafSize entries and divide in two when they are full, sharing the slots of
// their branch as the pages of extendible hashing do (R. Fagin et al., 1979). So
// three hops lead to any of four million keys, and every node is small.
//
// Views come from copying on write. Every node carries the epoch it was made in.
// Taking a view starts a new epoch, and a node of an earlier one is never
// changed again: the first write to reach it puts a copy in its place. That is
// the ownership token of Clojure's transient vectors, with a number for a token.
// What a view no longer needs is garbage like any other, so views nest, overlap
// and outlive the map with no bookkeeping at all.
package trie

import "hash/maphash"

const (
	// indexBits of the hash pick the slot at each level of branches.
	indexBits = 4
	fanout    = 1 << indexBits

	// The root is picked by the topmost bits, the last level by those from
	// lastShift up; the tag of an entry is the byte below them.
	rootShift = 64 - indexBits
	lastShift = rootShift - 13*indexBits

	// The lowest of the bits that leaves keep of the hash. See leaf.paths.
	pathShift = rootShift - 16
)

// A Map maps strings to strings. It belongs to one goroutine at a time; its
// views may be read by any number of goroutines meanwhile.
type Map struct {
	hasher
	root *branch
	size int

	// epoch marks the nodes that no view can reach.
	//
	// Invariant: a node is changed only while node.epoch == epoch.
	epoch uint64
}

// New returns an empty map with a hash seed of its own, so that nobody can
// choose keys that collide.
func New() *Map {
	m := &Map{hasher: hasher{seed: maphash.MakeSeed(), keep: ^uint64(0)}}
	m.root = m.branchOver(&leaf{})
	return m
}

// Len returns the number of entries, in constant time.
func (m *Map) Len() int { return m.size }

// Get returns the value of key, and whether there is one.
func (m *Map) Get(key string) (value string, ok bool) {
	return m.root.get(m.hash(key), key)
}

// Set gives key a value and returns the one it had, if any. It copies at most
// one leaf and the branches above it, and divides at most the leaf it fills.
func (m *Map) Set(key, value string) (old string, existed bool) {
	return m.set(m.hash(key), key, value)
}

// AddAll sets keys to values, in their order, and ends after the first that was
// there already. It returns how many were not. In a large map it takes two thirds
// of the time of as many Sets.
func (m *Map) AddAll(keys, values []string) (added int) {
	const atOnce = 64 // 16 and 256 are slower
	var hashes [atOnce]uint64
	for begin := 0; begin < len(keys); begin += atOnce {
		group := keys[begin:min(begin+atOnce, len(keys))]
		for i, key := range group {
			hashes[i] = m.hash(key)
		}
		m.root.fetchLeaves(hashes[:len(group)])
		for i, key := range group {
			if _, existed := m.set(hashes[i], key, values[begin+i]); existed {
				return begin + i
			}
		}
	}
	return len(keys)
}

func (m *Map) set(hash uint64, key, value string) (old string, existed bool) {
	m.root = m.ownBranch(m.root)
	b := m.root
	for shift := uint(rootShift); ; shift -= indexBits {
		slot := &b.slots[hash>>shift%fanout]
		for slot.branch == nil {
			l := m.ownLeaf(b, shift, hash)
			if at, i := l.find(hash, key); at != nil {
				old, at.entries[i].value = at.entries[i].value, value
				return old, true
			}
			if l.count < leafSize {
				l.add(hash, entry{key, value})
				m.size++
				return "", false
			}
			switch {
			case l.depth < indexBits:
				m.divide(b, shift, hash)
			case shift > lastShift:
				l.depth = 0
				*slot = child{branch: m.branchOver(l)}
			default:
				full := *l
				*l = leaf{epoch: m.epoch, depth: l.depth, next: &full}
			}
		}
		slot.branch = m.ownBranch(slot.branch)
		b = slot.branch
	}
}

// Delete removes key and returns the value it had, if any. Leaves that have
// become small are joined again: deleting gives the memory back.
func (m *Map) Delete(key string) (old string, existed bool) {
	hash := m.hash(key)
	if _, ok := m.root.get(hash, key); !ok {
		return "", false // nothing to change, so nothing to copy
	}
	m.root = m.ownBranch(m.root)
	m.size--
	return m.deleteBelow(m.root, rootShift, hash, key), true
}

// View returns the map as it is now, for good, in constant time.
func (m *Map) View() View {
	m.epoch++
	return View{hasher: m.hasher, root: m.root, size: m.size}
}

// deleteBelow deletes key, which is there, under b, which is owned.
func (m *Map) deleteBelow(b *branch, shift uint, hash uint64, key string) (old string) {
	slot := &b.slots[hash>>shift%fanout]
	if slot.branch == nil {
		old = m.ownLeaf(b, shift, hash).remove(hash, key)
		m.join(b, shift, hash)
		return old
	}
	slot.branch = m.ownBranch(slot.branch)
	old = m.deleteBelow(slot.branch, shift-indexBits, hash, key)
	if l := slot.branch.slots[0].leaf; l != nil && l.depth == 0 {
		// One leaf fills the whole branch: it can stand there itself. It
		// became so just now, by a join, so it is ours to change.
		l.depth = indexBits
		*slot = child{leaf: l}
		m.join(b, shift, hash)
	}
	return old
}

// branchOver returns a branch of the current epoch whose every slot is l.
func (m *Map) branchOver(l *leaf) *branch {
	b := &branch{epoch: m.epoch}
	b.place(l, rootShift, 0)
	return b
}

// ownBranch returns b if no view can reach it, else a copy to put in its place.
func (m *Map) ownBranch(b *branch) *branch {
	if b.epoch == m.epoch {
		return b
	}
	c := *b
	c.epoch = m.epoch
	return &c
}

// ownLeaf returns the leaf of b that hash leads to, replacing it by a copy if a
// view can reach it.
func (m *Map) ownLeaf(b *branch, shift uint, hash uint64) *leaf {
	l := b.slots[hash>>shift%fanout].leaf
	if l.epoch == m.epoch {
		return l
	}
	l = l.copied(m.epoch)
	b.place(l, shift, hash)
	return l
}

// divide puts two leaves in the place of the full one that hash leads to.
func (m *Map) divide(b *branch, shift uint, hash uint64) {
	full := b.slots[hash>>shift%fanout].leaf
	halves := [2]*leaf{
		{epoch: m.epoch, depth: full.depth + 1},
		{epoch: m.epoch, depth: full.depth + 1},
	}
	// The bit of the hash that tells the halves apart.
	bit := shift + indexBits - 1 - uint(full.depth)
	for i := range full.entries[:full.count] {
		halves[m.hashBit(full, i, bit)].take(full, i)
	}
	b.place(halves[hash>>bit&1], shift, hash)
	b.place(halves[^hash>>bit&1], shift, hash^1<<bit)
}

// hashBit returns one bit of the hash of entry i of l.
func (m *Map) hashBit(l *leaf, i int, bit uint) uint64 {
	if bit >= pathShift && bit < rootShift {
		return uint64(l.paths[i]>>(bit-pathShift)) & 1
	}
	return m.hash(l.entries[i].key) >> bit & 1
}

// join puts one leaf in the place of two halves that have become small, again
// and again. It leaves them room to grow, or a key set and deleted in turns
// would divide and join every time.
func (m *Map) join(b *branch, shift uint, hash uint64) {
	for {
		l := b.slots[hash>>shift%fanout].leaf
		if l.depth == 0 || l.next != nil {
			return
		}
		bit := shift + indexBits - uint(l.depth)
		other := b.slots[(hash^1<<bit)>>shift%fanout].leaf
		if other == nil || other.depth != l.depth || other.next != nil ||
			l.count+other.count > leafSize/2 {
			return
		}
		l.depth--
		for i := range other.entries[:other.count] {
			l.take(other, i)
		}
		b.place(l, shift, hash)
	}
}

// A hasher hashes the keys of one map and its views.
type hasher struct {
	seed maphash.Seed
	keep uint64 // all ones; tests clear bits of it, so that hashes collide
}

func (h *hasher) hash(key string) uint64 {
	return maphash.String(h.seed, key) & h.keep
}

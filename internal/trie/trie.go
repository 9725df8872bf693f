// Package trie is the map of a store: strings to strings, changed by one
// goroutine, with read-only views of any moment. Taking a view costs the same
// whatever the size of the map; a view needs no release.
//
// A Map is a hash trie (P. Bagwell, "Ideal Hash Trees", 2001). A leaf holds up to
// leafSize entries and divides in two when full; the leaves of a branch share its
// slots as the pages of extendible hashing share a directory (R. Fagin et al.,
// 1979). So three hops lead to any of four million keys, and every node is small.
//
// Views rest on copying on write. Every node carries the epoch of its creation.
// Taking a view starts a new epoch, and a node of an earlier epoch never changes
// again: the first write to reach the node puts a copy in its place. The epoch is
// the ownership token of Clojure's transient vectors, as a number. The garbage
// collector frees the nodes that only a dropped view could reach, so views nest,
// overlap and outlive the map without bookkeeping.
package trie

import "hash/maphash"

const (
	// indexBits of the hash pick the slot at each level of branches.
	indexBits = 4
	fanout    = 1 << indexBits

	// Bits 60-63 of the hash pick the slot in the root, the next four the slot
	// one level down, and so on to bits 8-11. Bits 0-7 are the entry's tag.
	rootShift = 64 - indexBits
	lastShift = rootShift - 13*indexBits

	// The lowest of the bits that leaves keep of the hash. See leaf.paths.
	pathShift = rootShift - 16
)

// A Map maps strings to strings. A Map belongs to one goroutine at a time; any
// number of goroutines may read its views meanwhile.
type Map struct {
	hasher
	root *branch
	size int

	// epoch marks the nodes that no view can reach.
	//
	// Invariant: a node is changed only while node.epoch == epoch.
	epoch uint64
}

// An Entry is a key and its value, both as the map keeps them: the same strings,
// not equal ones.
type Entry struct{ Key, Value string }

// New returns an empty map with a random hash seed, so that an
// attacker cannot choose keys that collide.
func New() *Map {
	m := &Map{hasher: hasher{seed: maphash.MakeSeed(), keep: ^uint64(0)}}
	m.root = m.branchOver(&leaf{})
	return m
}

// Len returns the number of entries, in constant time.
func (m *Map) Len() int { return m.size }

// Get returns the value of key, and whether key is in the map.
func (m *Map) Get(key string) (value string, ok bool) {
	return m.root.get(m.hash(key), key)
}

// Set gives key a value and returns the previous value, if any. From now on the
// map keeps the given strings alive, and no earlier key or value.
//
// Set copies at most one leaf and the branches above, and divides at most the
// leaf that overflows.
func (m *Map) Set(key, value string) (old string, existed bool) {
	before, existed := m.Replace(Entry{key, value})
	return before.Value, existed
}

// Replace is Set for a caller that may undo the write: it returns the whole
// previous entry. The two keys are equal, but each may be cut from another large
// string, of which the map keeps all bytes alive.
func (m *Map) Replace(e Entry) (old Entry, existed bool) {
	return m.set(m.hash(e.Key), e)
}

// AddAll sets keys to values in order. It stops after the first key that was in
// the map before, and returns the number of keys that were not. To fill a large
// map, AddAll takes about two thirds of the time that Set takes
// (go test -bench Fill ./internal/trie).
func (m *Map) AddAll(keys, values []string) (added int) {
	const atOnce = 64 // 16 and 256 are slower in BenchmarkFill
	var hashes [atOnce]uint64
	for len(keys) > 0 {
		group := keys[:min(atOnce, len(keys))]
		for i, key := range group {
			hashes[i] = m.hash(key)
		}
		m.root.fetchLeaves(hashes[:len(group)])
		for i, key := range group {
			if _, existed := m.set(hashes[i], Entry{key, values[i]}); existed {
				return added
			}
			added++
		}
		keys, values = keys[len(group):], values[len(group):]
	}
	return added
}

// set is Replace with the hash of e.Key.
func (m *Map) set(hash uint64, e Entry) (old Entry, existed bool) {
	m.root = m.writableBranch(m.root)
	b := m.root
	for shift := uint(rootShift); ; shift -= indexBits {
		slot := &b.slots[slotIndex(hash, shift)]
		for slot.branch == nil {
			l := m.writableLeaf(b, shift, hash)
			if at, i := l.find(hash, e.Key); at != nil {
				// The key, too: the old one may be a small part of a large string.
				old, at.entries[i] = at.entries[i], e
				return old, true
			}
			if l.count < leafSize {
				l.add(hash, e)
				m.size++
				return old, false
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
		slot.branch = m.writableBranch(slot.branch)
		b = slot.branch
	}
}

// Delete removes key and returns the previous value, if any. Small leaves are
// joined again, so deleting frees memory.
func (m *Map) Delete(key string) (old string, existed bool) {
	before, existed := m.Remove(key)
	return before.Value, existed
}

// Remove is Delete for a caller that may undo the write, by Replace: it returns
// the whole previous entry.
func (m *Map) Remove(key string) (old Entry, existed bool) {
	hash := m.hash(key)
	if _, ok := m.root.get(hash, key); !ok {
		return Entry{}, false // nothing to change, so nothing to copy
	}
	m.root = m.writableBranch(m.root)
	m.size--
	return m.deleteBelow(m.root, rootShift, hash, key), true
}

// View returns the map as of now, in constant time. Later writes do not show in
// the view.
func (m *Map) View() View {
	m.epoch++
	return View{hasher: m.hasher, root: m.root, size: m.size}
}

// deleteBelow deletes key under b. The key must be present and b writable.
func (m *Map) deleteBelow(b *branch, shift uint, hash uint64, key string) (old Entry) {
	slot := &b.slots[slotIndex(hash, shift)]
	if slot.branch == nil {
		old = m.writableLeaf(b, shift, hash).remove(hash, key)
		m.join(b, shift, hash)
		return old
	}
	slot.branch = m.writableBranch(slot.branch)
	old = m.deleteBelow(slot.branch, shift-indexBits, hash, key)
	// A leaf of depth 0 is in all slots of the branch, so any slot tells. Such a
	// leaf can take the place of the branch. A join gave it depth 0 a moment ago,
	// so the leaf is writable.
	if l := slot.branch.slots[0].leaf; l != nil && l.depth == 0 {
		l.depth = indexBits
		*slot = child{leaf: l}
		m.join(b, shift, hash)
	}
	return old
}

// branchOver returns a branch of the current epoch with l in every slot.
func (m *Map) branchOver(l *leaf) *branch {
	b := &branch{epoch: m.epoch}
	for i := range b.slots {
		b.slots[i].leaf = l
	}
	return b
}

// writableBranch returns b, or a copy to put in its place if a view can reach b.
func (m *Map) writableBranch(b *branch) *branch {
	if b.epoch == m.epoch {
		return b
	}
	c := *b
	c.epoch = m.epoch
	return &c
}

// writableLeaf returns the leaf of b that hash leads to. If a view can reach the
// leaf, writableLeaf first replaces it by a copy.
func (m *Map) writableLeaf(b *branch, shift uint, hash uint64) *leaf {
	l := b.slots[slotIndex(hash, shift)].leaf
	if l.epoch == m.epoch {
		return l
	}
	l = l.copied(m.epoch)
	b.place(l, shift, hash)
	return l
}

// divide replaces the full leaf that hash leads to by two leaves.
func (m *Map) divide(b *branch, shift uint, hash uint64) {
	full := b.slots[slotIndex(hash, shift)].leaf
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
	return m.hash(l.entries[i].Key) >> bit & 1
}

// join replaces two small halves by one leaf, repeatedly. The joined leaf is at
// most half full: at the limit itself, a key set and deleted in turns would
// divide and join leaves each time.
func (m *Map) join(b *branch, shift uint, hash uint64) {
	for {
		l := b.slots[slotIndex(hash, shift)].leaf
		if l.depth == 0 || l.next != nil {
			return
		}
		bit := shift + indexBits - uint(l.depth)
		other := b.slots[slotIndex(hash^1<<bit, shift)].leaf
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

// A View is a map as of one moment. A View never changes, so any number of
// goroutines may read it at once. The zero View is not usable.
type View struct {
	hasher
	root *branch
	size int
}

// Len returns the number of entries, in constant time.
func (v View) Len() int { return v.size }

// Get returns the value of key, and whether key is in the view.
func (v View) Get(key string) (value string, ok bool) {
	return v.root.get(v.hash(key), key)
}

// All calls yield for every entry, in no particular order, until yield returns
// false.
func (v View) All(yield func(key, value string) bool) {
	v.root.all(yield)
}

// A hasher hashes the keys of one map and its views.
type hasher struct {
	seed maphash.Seed
	keep uint64 // all ones; tests clear bits to make hashes collide
}

func (h *hasher) hash(key string) uint64 {
	return maphash.String(h.seed, key) & h.keep
}

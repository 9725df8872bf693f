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

// atOnce is for how many keys ReadAhead and AddAll read ahead. 16 and 256 are slower in
// BenchmarkFill.
const atOnce = 64

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

	now   int64 // the time, or 0 in a map that was never told
	timed int   // how many entries have a deadline
}

// An Entry is a key and its value, both as the map keeps them: the same strings,
// not equal ones.
type Entry struct {
	Key, Value string
	Deadline   int64 // in nanoseconds since 1970, or 0
}

// New returns an empty map with a random hash seed, so that an
// attacker cannot choose keys that collide.
func New() *Map { return newMap(hasher{seed: maphash.MakeSeed(), keep: ^uint64(0)}) }

// NewLike returns an empty map that the map of v can adopt.
func NewLike(v View) *Map { return newMap(v.hasher) }

func newMap(h hasher) *Map {
	m := &Map{hasher: h}
	m.root = m.branchOver(&leaf{})
	return m
}

// Len is Len of a View.
func (m *Map) Len() int { return m.current().Len() }

// Get returns the value of key, and whether key is in the map.
func (m *Map) Get(key string) (value string, ok bool) {
	return m.root.get(m.hash(key), key, m.now)
}

// Entry is Get for the whole entry.
func (m *Map) Entry(key string) (e Entry, ok bool) { return m.current().Entry(key) }

// Deadline returns the deadline of key, or 0 if key has none or is not in the map.
func (m *Map) Deadline(key string) int64 { return m.current().Deadline(key) }

// Set gives key a value, without a deadline, and returns the previous value, if any.
// From now on the map keeps the given strings alive, and no earlier key or value.
//
// Set copies at most one leaf and the branches above, and divides at most the
// leaf that overflows.
func (m *Map) Set(key, value string) (old string, existed bool) {
	before, _, existed := m.set(m.hash(key), pair{key, value}, 0)
	return before.value, existed
}

// Replace is Set for an entry with a deadline, and for a caller that may undo the write:
// it returns the whole previous entry, also one that is over. The two keys are equal, but
// each may be cut from another large string, of which the map keeps all bytes alive.
func (m *Map) Replace(e Entry) (old Entry, existed bool) {
	before, deadline, existed := m.set(m.hash(e.Key), pair{e.Key, e.Value}, e.Deadline)
	return Entry{before.key, before.value, deadline}, existed
}

// AddAll sets keys to values in order, with deadlines, unless deadlines is nil. It stops
// after the first key that was in the map before, and returns the number of keys that were
// not. To fill a large map, AddAll takes about two thirds of the time that Set takes
// (go test -bench Fill ./internal/trie).
func (m *Map) AddAll(keys, values []string, deadlines []int64) (added int) {
	var hashes [atOnce]uint64
	for len(keys) > 0 {
		group := keys[:min(atOnce, len(keys))]
		for i, key := range group {
			hashes[i] = m.hash(key)
		}
		m.root.fetchEntries(&hashes, len(group))
		for i, key := range group {
			deadline := int64(0)
			if deadlines != nil {
				deadline = deadlines[added]
			}
			if _, _, existed := m.set(hashes[i], pair{key, values[added]}, deadline); existed {
				return added
			}
			added++
		}
		keys = keys[len(group):]
	}
	return added
}

// IsLarge reports whether the map is larger than the caches of a processor may be.
func (m *Map) IsLarge() bool {
	const entries = 8_000 // about a megabyte
	return m.size >= entries
}

// ReadAhead reads what the next calls for these keys will read, of up to atOnce keys, and
// changes only the time that they take: in a large map each of them waits for memory.
func (m *Map) ReadAhead(keys []string) {
	var hashes [atOnce]uint64
	n := min(len(keys), atOnce)
	for i, key := range keys[:n] {
		hashes[i] = m.hash(key)
	}
	m.root.fetchEntries(&hashes, n)
}

// set is Replace with the hash of the key. It takes and returns the parts of an Entry: the
// compiler keeps structs of up to four words in registers.
func (m *Map) set(hash uint64, p pair, deadline int64) (old pair, was int64, existed bool) {
	m.root = m.writableBranch(m.root)
	b := m.root
	for shift := uint(rootShift); ; shift -= indexBits {
		if deadline != 0 {
			b.earliest = earlier(b.earliest, deadline)
		}
		slot := &b.slots[slotIndex(hash, shift)]
		for slot.branch == nil {
			l := m.writableLeaf(b, shift, hash)
			if at, i := l.find(hash, p.key); at != nil {
				// The key, too: the old one may be a small part of a large string.
				old, at.entries[i] = at.entries[i], p
				if deadline != 0 || at.deadlines != nil {
					was = m.replaceDeadline(at, i, deadline)
				}
				return old, was, true
			}
			if l.count < leafSize {
				l.add(hash, p, deadline)
				m.size++
				m.count(deadline, 1)
				return old, 0, false
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

// replaceDeadline gives entry i of l another deadline, or none, and returns the old.
func (m *Map) replaceDeadline(l *leaf, i int, deadline int64) (was int64) {
	was = l.deadline(i)
	l.setDeadline(i, deadline)
	m.count(was, -1)
	m.count(deadline, 1)
	return was
}

// count counts n entries, if they have a deadline.
func (m *Map) count(deadline int64, n int) {
	if deadline != 0 {
		m.timed += n
	}
}

// Delete removes key and returns the previous value, if any. Small leaves are
// joined again, so deleting frees memory.
func (m *Map) Delete(key string) (old string, existed bool) {
	before, existed := m.Remove(key)
	return before.Value, existed
}

// Remove is Delete for a caller that may undo the write, by Replace: it returns
// the whole previous entry, also one that is over.
func (m *Map) Remove(key string) (old Entry, existed bool) {
	hash := m.hash(key)
	if at, _ := m.root.find(hash, key); at == nil {
		return Entry{}, false // nothing to change, so nothing to copy
	}
	m.root = m.writableBranch(m.root)
	m.size--
	before, deadline := m.deleteBelow(m.root, rootShift, hash, key)
	m.count(deadline, -1)
	return Entry{before.key, before.value, deadline}, true
}

// View returns the map as of now, in constant time. Later writes do not show in
// the view, and entries that are over later do.
func (m *Map) View() View {
	m.epoch++
	return m.current()
}

// current returns the map as a view that the next write may change.
func (m *Map) current() View {
	return View{hasher: m.hasher, root: m.root, size: m.size, timed: m.timed, now: m.now}
}

// Clear removes all entries, in constant time, and returns the map before.
func (m *Map) Clear() (before View) {
	before = m.View()
	m.Restore(View{root: m.branchOver(&leaf{epoch: m.epoch})})
	return before
}

// Restore makes the map what it was in v, a view of it, in constant time. The time stays.
func (m *Map) Restore(v View) { m.root, m.size, m.timed = v.root, v.size, v.timed }

// Adopt replaces the contents of m by those of other, in constant time. other must be of
// NewLike, and must not be used afterwards.
//
// Invariant: no node is newer than m.epoch, and those of other are views' from now on.
func (m *Map) Adopt(other *Map) {
	if m.hasher != other.hasher {
		panic("trie: Adopt of a map with another hash")
	}
	m.epoch = max(m.epoch, other.epoch) + 1
	m.Restore(other.current())
}

// deleteBelow deletes key under b. The key must be present and b writable.
func (m *Map) deleteBelow(b *branch, shift uint, hash uint64, key string) (old pair, deadline int64) {
	slot := &b.slots[slotIndex(hash, shift)]
	if slot.branch == nil {
		old, deadline = m.writableLeaf(b, shift, hash).remove(hash, key)
		m.join(b, shift, hash)
		return old, deadline
	}
	slot.branch = m.writableBranch(slot.branch)
	old, deadline = m.deleteBelow(slot.branch, shift-indexBits, hash, key)
	m.replaceByLeaf(b, shift, hash)
	return old, deadline
}

// replaceByLeaf puts a leaf in the place of the branch under b that hash leads to, if a
// join a moment ago has left that branch with one leaf.
func (m *Map) replaceByLeaf(b *branch, shift uint, hash uint64) {
	slot := &b.slots[slotIndex(hash, shift)]
	// A leaf of depth 0 is in all slots of the branch, so any slot tells. The join gave
	// the leaf depth 0, so the leaf is writable.
	if l := slot.branch.slots[0].leaf; l != nil && l.depth == 0 {
		l.depth = indexBits
		*slot = child{leaf: l}
		m.join(b, shift, hash)
	}
}

// branchOver returns a branch of the current epoch with l in every slot.
func (m *Map) branchOver(l *leaf) *branch {
	b := &branch{epoch: m.epoch, earliest: l.bound()}
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
	return m.hash(l.entries[i].key) >> bit & 1
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
	root  *branch
	size  int   // with the entries that are over
	timed int   // how many entries have a deadline
	now   int64 // what is over is not in the view
}

// Len returns the number of entries. It takes constant time, unless entries are over and
// not removed yet: then time in proportion to their number.
func (v View) Len() int { return v.size - v.root.countOver(v.now) }

// Get returns the value of key, and whether key is in the view.
func (v View) Get(key string) (value string, ok bool) {
	return v.root.get(v.hash(key), key, v.now)
}

// Entry is Get for the whole entry.
func (v View) Entry(key string) (e Entry, ok bool) {
	if at, i := v.root.find(v.hash(key), key); at != nil && !at.isOver(i, v.now) {
		return at.entry(i), true
	}
	return Entry{}, false
}

// Deadline returns the deadline of key, or 0 if key has none or is not in the view.
func (v View) Deadline(key string) int64 {
	e, _ := v.Entry(key)
	return e.Deadline
}

// All calls yield for every entry, in no particular order, until yield returns
// false.
func (v View) All(yield func(key, value string) bool) {
	v.root.leaves(0, fanout, func(l *leaf) bool {
		l.fetch()
		for i := range l.entries[:l.count] {
			if !l.isOver(i, v.now) && !yield(l.entries[i].key, l.entries[i].value) {
				return false
			}
		}
		return true
	})
}

// Entries is All with the deadlines.
func (v View) Entries(yield func(Entry) bool) { v.root.entries(0, fanout, v.now, yield) }

// entries calls yield for the entries in width slots of b, from slot i on, that are not
// over.
func (b *branch) entries(i, width int, now int64, yield func(Entry) bool) bool {
	return b.leaves(i, width, func(l *leaf) bool {
		l.fetch()
		for i := range l.entries[:l.count] {
			if !l.isOver(i, now) && !yield(l.entry(i)) {
				return false
			}
		}
		return true
	})
}

// A hasher hashes the keys of one map and its views.
type hasher struct {
	seed maphash.Seed
	keep uint64 // all ones; tests clear bits to make hashes collide
}

func (h *hasher) hash(key string) uint64 {
	return maphash.String(h.seed, key) & h.keep
}

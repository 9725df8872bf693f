package trie

import (
	"fmt"
	"math/bits"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A shape counts the parts of a trie.
type shape struct {
	branches int
	leaves   int // without chained leaves
	chained  int
	levels   int
	entries  int
	timed    int // entries with a deadline
}

const (
	branchBytes = int(unsafe.Sizeof(branch{}))
	leafBytes   = int(unsafe.Sizeof(leaf{}))
)

// check requires that m keeps every invariant, and returns its shape.
func check(t require.TestingT, m *Map) shape {
	found, err := inspect(m.root, m.hasher, m.epoch)
	require.NoError(t, err)
	require.Equal(t, m.size, found.entries, "size")
	require.Equal(t, m.timed, found.timed, "entries with a deadline")
	return found
}

// inspect returns the shape of the trie under root, or an error that names the
// first broken invariant. No node may be newer than epoch.
func inspect(root *branch, h hasher, epoch uint64) (shape, error) {
	in := inspector{hasher: h, root: root, leaves: map[*leaf]bool{}, keys: map[string]bool{}, deadlines: map[*deadlines]bool{}}
	err := in.branch(root, place{shift: rootShift, epoch: epoch})
	return in.found, err
}

type inspector struct {
	hasher
	root   *branch
	leaves map[*leaf]bool
	keys   map[string]bool
	found  shape

	deadlines map[*deadlines]bool
}

// A place is the position of a node in the trie.
type place struct {
	prefix uint64 // the bits of the hash that lead there
	shift  uint   // of the branch
	epoch  uint64 // of the node above
}

func (in *inspector) branch(b *branch, at place) error {
	if b.epoch > at.epoch {
		return fmt.Errorf("a branch of epoch %d below one of %d", b.epoch, at.epoch)
	}
	in.found.branches++
	in.found.levels = max(in.found.levels, 1+int(rootShift-at.shift)/indexBits)
	before := in.found.entries
	for i := 0; i < fanout; {
		inside := place{at.prefix | uint64(i)<<at.shift, at.shift, b.epoch}
		width, err := in.child(b, i, inside)
		if err != nil {
			return err
		}
		i += width
	}
	if b != in.root && in.found.entries-before <= leafSize/2 {
		return fmt.Errorf("a branch with %d entries, where a leaf would do", in.found.entries-before)
	}
	return nil
}

// child inspects the child in slot i of b and returns the number of its slots.
func (in *inspector) child(b *branch, i int, at place) (width int, err error) {
	slot := b.slots[i]
	if slot != (child{}) && !(slot.branch != nil && slot.leaf != nil) {
		if bound := slot.bound(); bound != 0 && !isDue(b.earliest, bound) {
			return 0, fmt.Errorf("slot %d: a bound of %d below one of %d", i, bound, b.earliest)
		}
	}
	switch {
	case (slot.branch == nil) == (slot.leaf == nil):
		return 0, fmt.Errorf("slot %d: not exactly one of branch and leaf", i)
	case slot.branch != nil && at.shift == lastShift:
		return 0, fmt.Errorf("slot %d: a branch below the last level", i)
	case slot.branch != nil:
		at.shift -= indexBits
		return 1, in.branch(slot.branch, at)
	case slot.leaf.depth > indexBits:
		return 0, fmt.Errorf("slot %d: a leaf of depth %d", i, slot.leaf.depth)
	}
	l := slot.leaf
	width = fanout >> l.depth
	if i%width != 0 {
		return 0, fmt.Errorf("slot %d: a leaf of %d slots starts here", i, width)
	}
	for j := range width {
		if b.slots[i+j] != slot {
			return 0, fmt.Errorf("slot %d: not the leaf of slot %d", i+j, i)
		}
	}
	if other := b.slots[i^width%fanout].leaf; canJoin(l, other) {
		return 0, fmt.Errorf("slot %d: two leaves of %d entries, where one would do", i, l.count+other.count)
	}
	return width, in.chain(l, at)
}

func canJoin(l, other *leaf) bool {
	return l != other && other != nil && l.depth == other.depth &&
		l.next == nil && other.next == nil && l.count+other.count <= leafSize/2
}

// chain inspects l and its chained leaves.
func (in *inspector) chain(l *leaf, at place) error {
	if in.leaves[l] {
		return fmt.Errorf("a leaf in two places")
	}
	in.leaves[l] = true
	for at := l; at != nil; at = at.next {
		if at.deadlines != nil && in.deadlines[at.deadlines] {
			return fmt.Errorf("two leaves share their deadlines")
		}
		in.deadlines[at.deadlines] = true
	}
	in.found.leaves++
	if l.next != nil && (at.shift != lastShift || l.depth != indexBits || l.count == 0) {
		return fmt.Errorf("a chain at shift %d and depth %d, its first leaf of %d", at.shift, l.depth, l.count)
	}
	for next := l.next; next != nil; next = next.next {
		in.found.chained++
		if next.count != leafSize || next.depth != l.depth || next.epoch != l.epoch {
			return fmt.Errorf("a chained leaf of %d, of depth %d and epoch %d", next.count, next.depth, next.epoch)
		}
	}
	if l.epoch > at.epoch {
		return fmt.Errorf("a leaf of epoch %d below a branch of %d", l.epoch, at.epoch)
	}
	depth := l.depth
	for ; l != nil; l = l.next {
		if err := in.entries(l, depth, at); err != nil {
			return err
		}
	}
	return nil
}

func (in *inspector) entries(l *leaf, depth uint8, at place) error {
	if l.count > leafSize {
		return fmt.Errorf("a leaf of %d", l.count)
	}
	for i, e := range l.entries {
		if i >= int(l.count) {
			if e != (pair{}) || l.entry(i).Deadline != 0 {
				return fmt.Errorf("entry %d beyond the last: %q", i, e.key)
			}
			continue
		}
		in.found.entries++
		if deadline := l.entry(i).Deadline; deadline != 0 {
			in.found.timed++
			if !isDue(l.deadlines.earliest, deadline) {
				return fmt.Errorf("%q: ends at %d, before the bound %d of its leaf", e.key, deadline, l.deadlines.earliest)
			}
		}
		hash := in.hash(e.key)
		common := rootShift - at.shift + uint(depth)
		if (hash^at.prefix)>>(64-common) != 0 {
			return fmt.Errorf("%q: %064b in a leaf of %d bits of %064b", e.key, hash, common, at.prefix)
		}
		if l.tags[i] != uint8(hash) {
			return fmt.Errorf("%q: tag %#x, hash %#x", e.key, l.tags[i], hash)
		}
		if l.paths[i] != uint16(hash>>pathShift) {
			return fmt.Errorf("%q: path %#x, hash %#x", e.key, l.paths[i], hash)
		}
		if in.keys[e.key] {
			return fmt.Errorf("%q: there twice", e.key)
		}
		in.keys[e.key] = true
		if at, j := in.root.find(hash, e.key); at != l || j != i {
			return fmt.Errorf("%q: not found", e.key)
		}
	}
	return nil
}

// walk calls onBranch for b and, if the result is true, walks the nodes below.
func walk(b *branch, onBranch func(*branch) bool, onLeaf func(*leaf)) {
	if !onBranch(b) {
		return
	}
	for i := 0; i < fanout; {
		if below := b.slots[i].branch; below != nil {
			walk(below, onBranch, onLeaf)
			i++
			continue
		}
		l := b.slots[i].leaf
		i += fanout >> l.depth
		for ; l != nil; l = l.next {
			onLeaf(l)
		}
	}
}

// A frozen is a copy of all nodes of a view.
type frozen struct {
	branches  map[*branch]branch
	leaves    map[*leaf]leaf
	deadlines map[*deadlines]deadlines
}

func freeze(v View) frozen {
	f := frozen{map[*branch]branch{}, map[*leaf]leaf{}, map[*deadlines]deadlines{}}
	walk(v.root,
		func(b *branch) bool { f.branches[b] = *b; return true },
		func(l *leaf) {
			f.leaves[l] = *l
			if l.deadlines != nil {
				f.deadlines[l.deadlines] = *l.deadlines
			}
		})
	return f
}

// unchanged reports whether the nodes still equal the copies.
func (f frozen) unchanged() bool {
	for b, was := range f.branches {
		if *b != was {
			return false
		}
	}
	for l, was := range f.leaves {
		if *l != was {
			return false
		}
	}
	for d, was := range f.deadlines {
		if *d != was {
			return false
		}
	}
	return true
}

// A negative control: inspect notices each invariant that the test breaks.
func TestInspectionNotices(t *testing.T) {
	leafOf := func(m *Map, key string) *leaf {
		hash, b, shift := m.hash(key), m.root, uint(rootShift)
		for b.slots[hash>>shift%fanout].branch != nil {
			b, shift = b.slots[hash>>shift%fanout].branch, shift-indexBits
		}
		return b.slots[hash>>shift%fanout].leaf
	}
	for _, c := range []struct {
		name, message string
		plant         func(m *Map)
	}{
		{"an empty slot", "not exactly one", func(m *Map) { m.root.slots[3] = child{} }},
		{"both in a slot", "not exactly one", func(m *Map) { m.root.slots[3] = child{branch: m.root, leaf: &leaf{}} }},
		{"a leaf in another's slot", "bits of", func(m *Map) {
			b := m.root.slots[3].branch
			b.slots, m.root.slots[4].branch.slots = m.root.slots[4].branch.slots, b.slots
		}},
		{"a leaf of another depth", "", func(m *Map) { leafOf(m, "key 1").depth ^= 1 }},
		{"a leaf deeper than can be", "a leaf of depth", func(m *Map) { leafOf(m, "key 1").depth = 5 }},
		{"an entry left behind", "beyond the last", func(m *Map) {
			l := leafOf(m, "key 1")
			l.entries[leafSize-1] = pair{"left", "behind"}
		}},
		{"a wrong tag", "tag", func(m *Map) { leafOf(m, "key 1").tags[0]++ }},
		{"a wrong path", "path", func(m *Map) { leafOf(m, "key 1").paths[0]++ }},
		{"a key of elsewhere", "bits of", func(m *Map) { leafOf(m, "key 1").entries[0].key = elsewhere(m, "key 1") }},
		{"a key twice", "", func(m *Map) {
			l := leafOf(m, "key 1")
			l.add(m.hash(l.entries[0].key), l.entries[0], 0)
		}},
		{"a deadline left behind", "beyond the last", func(m *Map) {
			l := leafOf(m, "key 1")
			l.deadlines = new(deadlines)
			l.deadlines.of[leafSize-1] = 7
		}},
		{"a deadline before the bound of its leaf", "the bound", func(m *Map) {
			m.Replace(Entry{"key 1", "", 7})
			leafOf(m, "key 1").deadlines.earliest++
		}},
		{"a leaf without a bound", "the bound", func(m *Map) {
			m.Replace(Entry{"key 1", "", 7})
			leafOf(m, "key 1").deadlines.earliest = 0
		}},
		{"a bound before that of the branch", "below one of", func(m *Map) {
			m.Replace(Entry{"key 1", "", 7})
			m.root.earliest++
		}},
		{"shared deadlines", "share", func(m *Map) {
			m.Replace(Entry{"key 1", "", 7})
			m.Replace(Entry{elsewhere(m, "key 1"), "", 7})
			leafOf(m, elsewhere(m, "key 1")).deadlines = leafOf(m, "key 1").deadlines
		}},
		{"a leaf of the future", "epoch", func(m *Map) { leafOf(m, "key 1").epoch = m.epoch + 1 }},
		{"a branch of the future", "epoch", func(m *Map) { m.root.slots[3].branch.epoch = m.epoch + 1 }},
		{"a chain above the last level", "a chain at", func(m *Map) { leafOf(m, "key 1").next = &leaf{} }},
		{"a branch with little in it", "where a leaf would do", func(m *Map) {
			m.root.slots[3].branch = m.branchOver(&leaf{})
		}},
		{"two leaves with little in them", "where one would do", func(m *Map) {
			b := m.branchOver(&leaf{depth: 1})
			b.place(&leaf{depth: 1}, rootShift, 1<<63)
			m.root.slots[3].branch = b
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New()
			for i := range 2000 { // every slot of the root has a branch, every leaf of those some room
				m.Set(fmt.Sprint("key ", i), "")
			}
			check(t, m)
			makeRoom(m, leafOf(m, "key 1"))
			c.plant(m)
			_, err := inspect(m.root, m.hasher, m.epoch)
			require.ErrorContains(t, err, c.message)
		})
	}
}

// makeRoom deletes entries of a nearly full leaf, but not the first entry.
func makeRoom(m *Map, l *leaf) {
	for l.count > leafSize-2 {
		m.Delete(l.entries[1].key)
	}
}

// elsewhere returns a key whose hash differs from that of key in the first bit.
func elsewhere(m *Map, key string) string {
	for i := 0; ; i++ {
		other := fmt.Sprint("elsewhere ", i)
		if bits.LeadingZeros64(m.hash(key)^m.hash(other)) == 0 {
			return other
		}
	}
}

// A negative control: unchanged notices every kind of write to a node.
func TestFreezeNotices(t *testing.T) {
	for name, write := range map[string]func(l *leaf, b *branch){
		"a value":  func(l *leaf, b *branch) { l.entries[0].value = "new" },
		"a count":  func(l *leaf, b *branch) { l.count-- },
		"a tag":    func(l *leaf, b *branch) { l.tags[0]++ },
		"a chain":  func(l *leaf, b *branch) { l.next = &leaf{} },
		"a child":  func(l *leaf, b *branch) { b.slots[0] = child{leaf: &leaf{}} },
		"an epoch": func(l *leaf, b *branch) { b.epoch++ },
		"a bound":  func(l *leaf, b *branch) { b.earliest++ },
		"an end":   func(l *leaf, b *branch) { l.deadlines.of[0]++ },
	} {
		t.Run(name, func(t *testing.T) {
			m := New()
			m.Replace(Entry{"key", "old", 7})
			v := m.View()
			f := freeze(v)
			require.True(t, f.unchanged())
			write(v.root.slots[0].leaf, v.root)
			require.False(t, f.unchanged())
		})
	}
}

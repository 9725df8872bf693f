package trie

import "iter"

// A Change is a key that two views of one map have different entries for.
type Change struct {
	Key             string // as the newer view keeps it, if Exists
	Old, New        string
	Existed, Exists bool // whether the key is in the old view, and in the new one
}

// Diff returns an iterator over the keys that differ between two views of one map,
// each once, in no particular order. A key that has the same value in both views is no
// difference, however often it was written. The zero View counts as empty.
//
// Two views share every node that no write has touched, and Diff does not look into
// a node that both have. So it takes time in proportion to the nodes written between
// the views, whatever the size of the map. Old may be the newer view: then the changes
// lead back. Diff allocates nothing for each change. Diff panics if the views are of
// two maps.
func Diff(old, new View) iter.Seq[Change] {
	if old.root != nil && new.root != nil && old.hasher != new.hasher {
		panic("trie: Diff of views of two maps")
	}
	return func(yield func(Change) bool) {
		d := difference{old, new, yield}
		switch {
		case new.root == nil && old.root == nil:
		case old.root == nil:
			new.All(d.added)
		case new.root == nil:
			old.All(d.removed)
		default:
			d.branches(old.root, new.root)
		}
	}
}

// A difference is one walk over two views. Its methods return false once yield has.
type difference struct {
	old, new View
	yield    func(Change) bool
}

func (d *difference) added(key, value string) bool {
	return d.yield(Change{Key: key, New: value, Exists: true})
}

func (d *difference) removed(key, value string) bool {
	return d.yield(Change{Key: key, Old: value, Existed: true})
}

// branches compares two branches in one place of the trie. A leaf may fill several
// slots, and fewer on the other side. The number of slots is a power of two and the
// first slot a multiple of it, so the wider child spans whole children of the other
// branch.
func (d *difference) branches(old, new *branch) bool {
	for i := 0; i < fanout; {
		before, after := old.slots[i], new.slots[i]
		if before == after { // not read, not even for its width: it may not be in the cache
			i++
			continue
		}
		width := max(before.width(), after.width())
		if !d.children(old, new, i, width) {
			return false
		}
		i += width
	}
	return true
}

// width returns how many slots the child fills.
func (c child) width() int {
	if c.branch != nil {
		return 1
	}
	return fanout >> c.leaf.depth
}

// children compares width slots of two branches, from slot i on.
func (d *difference) children(old, new *branch, i, width int) bool {
	before, after := old.slots[i], new.slots[i]
	switch {
	case before.branch != nil && after.branch != nil:
		return d.branches(before.branch, after.branch)
	case before.branch == nil && after.branch == nil && before.width() == after.width():
		return d.leaves(before.leaf, after.leaf)
	}
	// A leaf was divided or leaves were joined, so every node here was written.
	return new.allIn(i, width, d.inNew) && old.allIn(i, width, d.inOld)
}

// inNew passes on an entry of the new view that is missing or different in the old.
func (d *difference) inNew(key, value string) bool {
	was, existed := d.old.Get(key)
	return existed && was == value || d.yield(Change{key, was, value, existed, true})
}

// inOld passes on an entry of the old view that is missing in the new.
func (d *difference) inOld(key, value string) bool {
	_, exists := d.new.Get(key)
	return exists || d.removed(key, value)
}

// leaves compares two leaves in one place, with their chains. A copy of a leaf keeps
// the order of the entries, and a write moves one entry at most. So nearly every entry
// has its counterpart at its own index, which compares two pointers a string.
func (d *difference) leaves(old, new *leaf) bool {
	kept := 0 // entries of old whose keys are in new
	beside := old
	for l := new; l != nil; l = l.next {
		for i := range l.entries[:l.count] {
			e := &l.entries[i]
			if beside != nil && i < int(beside.count) && beside.entries[i] == *e {
				kept++
				continue
			}
			c := Change{Key: e.Key, New: e.Value, Exists: true}
			if at, j := old.find(uint64(l.tags[i]), e.Key); at != nil {
				kept++
				c.Old, c.Existed = at.entries[j].Value, true
			}
			if !(c.Existed && c.Old == c.New) && !d.yield(c) {
				return false
			}
		}
		if beside != nil {
			beside = beside.next
		}
	}
	return kept == old.total() || d.gone(old, new)
}

// gone passes on the entries of old whose keys are not in new.
func (d *difference) gone(old, new *leaf) bool {
	for l := old; l != nil; l = l.next {
		for i := range l.entries[:l.count] {
			e := &l.entries[i]
			if at, _ := new.find(uint64(l.tags[i]), e.Key); at == nil && !d.removed(e.Key, e.Value) {
				return false
			}
		}
	}
	return true
}

// total returns the number of entries in the chain.
func (l *leaf) total() (n int) {
	for ; l != nil; l = l.next {
		n += int(l.count)
	}
	return n
}

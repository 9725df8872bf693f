package trie

import "iter"

// A Change is a key that two views of one map have different entries for.
type Change struct {
	Key             string // as the newer view keeps it, if Exists
	Old, New        string
	Existed, Exists bool  // whether the key is in the old view, and in the new one
	Deadline        int64 // in the new view, or 0
}

// Diff returns an iterator over the keys that differ between two views of one map,
// each once, in no particular order. A key that has the same value and deadline in both
// views is no difference, however often it was written. The zero View counts as empty.
//
// Two views share every node that no write has touched, and Diff looks into a node that
// both have only if entries there may be over in one view alone. So Diff takes time in
// proportion to the nodes written between the views, and to the entries that are over and
// not removed yet, whatever the size of the map. Old may be the newer view: then the changes
// lead back. Diff allocates nothing for each change. Diff panics if the views are of
// two maps.
func Diff(old, new View) iter.Seq[Change] {
	if old.root != nil && new.root != nil && old.hasher != new.hasher {
		panic("trie: Diff of views of two maps")
	}
	return func(yield func(Change) bool) {
		d := difference{old, new, yield, old.now != new.now, max(old.now, new.now)}
		switch {
		case new.root == nil && old.root == nil:
		case old.root == nil:
			new.Entries(d.added)
		case new.root == nil:
			old.Entries(d.removed)
		default:
			d.branches(old.root, new.root)
		}
	}
}

// A difference is one walk over two views. Its methods return false once yield has.
type difference struct {
	old, new View
	yield    func(Change) bool

	timePassed bool  // between the views
	later      int64 // of their times
}

func (d *difference) added(e Entry) bool {
	return d.yield(Change{Key: e.Key, New: e.Value, Exists: true, Deadline: e.Deadline})
}

func (d *difference) removed(e Entry) bool {
	return d.yield(Change{Key: e.Key, Old: e.Value, Existed: true})
}

// entry passes on the entry of a key in the new view, unless the old view has the same.
func (d *difference) entry(was Entry, existed bool, is Entry, exists bool) bool {
	switch {
	case !exists:
		return !existed || d.removed(was)
	case !existed:
		return d.added(is)
	case was.Value == is.Value && was.Deadline == is.Deadline:
		return true
	}
	return d.yield(Change{is.Key, was.Value, is.Value, true, true, is.Deadline})
}

// branches compares two branches in one place of the trie. A leaf may fill several
// slots, and fewer on the other side. The number of slots is a power of two and the
// first slot a multiple of it, so the wider child spans whole children of the other
// branch.
//
// branches does not read a shared child, not even the width, unless entries below the
// branch may be over: the child may not be in the cache.
func (d *difference) branches(old, new *branch) bool {
	overSoon := d.timePassed && isDue(new.earliest, d.later)
	for i := 0; i < fanout; {
		before, after := old.slots[i], new.slots[i]
		if before == after && !overSoon {
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
	case before == after && !isDue(after.bound(), d.later):
		return true
	case before.branch != nil && after.branch != nil:
		return d.branches(before.branch, after.branch)
	case before.branch == nil && after.branch == nil && before.width() == after.width():
		return d.leaves(before.leaf, after.leaf)
	}
	// A leaf was divided or leaves were joined, so every node here was written.
	return new.entries(i, width, d.new.now, d.inNew) && old.entries(i, width, d.old.now, d.inOld)
}

// inNew passes on an entry of the new view that is missing or different in the old.
func (d *difference) inNew(is Entry) bool {
	was, existed := d.old.Entry(is.Key)
	return d.entry(was, existed, is, true)
}

// inOld passes on an entry of the old view that is missing in the new.
func (d *difference) inOld(was Entry) bool {
	_, exists := d.new.Get(was.Key)
	return exists || d.removed(was)
}

// leaves compares two leaves in one place, with their chains. A copy of a leaf keeps
// the order of the entries, and a write moves one entry at most. So nearly every entry
// has its counterpart at its own index, which compares two pointers a string.
func (d *difference) leaves(old, new *leaf) bool {
	kept := 0 // entries of old whose keys are in new
	beside := old
	for l := new; l != nil; l = l.next {
		for i := range l.entries[:l.count] {
			at, j := beside, i
			if at == nil || i >= int(at.count) || at.entries[i] != l.entries[i] {
				at, j = old.find(uint64(l.tags[i]), l.entries[i].key)
			}
			var was Entry
			existed := at != nil
			if existed {
				kept++
				if at.entries[j] == l.entries[i] && at.deadlines == nil && l.deadlines == nil {
					continue
				}
				was, existed = at.entry(j), !at.isOver(j, d.old.now)
			}
			if !d.entry(was, existed, l.entry(i), !l.isOver(i, d.new.now)) {
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
			at, _ := new.find(uint64(l.tags[i]), l.entries[i].key)
			if at == nil && !l.isOver(i, d.old.now) && !d.removed(l.entry(i)) {
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

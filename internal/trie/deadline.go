package trie

// Deadlines are instants in nanoseconds since 1970; 0 is no deadline. An entry is over from
// the deadline on: a map that was told of the time, and later views of the map, do not
// have the entry. The memory is in use until Expire or a write to the key removes the entry.
//
// Every branch, and every leaf with deadlines, has a lower bound of the deadlines below.
// So Expire finds the entries that are over without a list of deadlines beside the map, and
// a map without deadlines pays for a comparison a node.

// deadlines are the deadlines of the entries of a leaf.
type deadlines struct {
	earliest int64           // a lower bound, or 0 if no entry has a deadline
	of       [leafSize]int64 // Invariant: 0 beyond the last entry
}

// earlier returns the earlier of two deadlines.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// isDue reports whether a deadline, or a lower bound of several, has passed.
func isDue(deadline, now int64) bool { return deadline != 0 && deadline <= now }

// deadline returns the deadline of entry i, or 0.
func (l *leaf) deadline(i int) int64 {
	if l.deadlines == nil {
		return 0
	}
	return l.deadlines.of[i]
}

func (l *leaf) setDeadline(i int, deadline int64) {
	if l.deadlines == nil {
		if deadline == 0 {
			return
		}
		l.deadlines = new(deadlines)
	}
	l.deadlines.of[i] = deadline
	l.deadlines.earliest = earlier(l.deadlines.earliest, deadline)
}

// isOver reports whether entry i is over.
func (l *leaf) isOver(i int, now int64) bool {
	return l.deadlines != nil && isDue(l.deadlines.of[i], now)
}

// bound returns a lower bound of the deadlines in the chain.
func (l *leaf) bound() (earliest int64) {
	for ; l != nil; l = l.next {
		if l.deadlines != nil {
			earliest = earlier(earliest, l.deadlines.earliest)
		}
	}
	return earliest
}

// bound returns a lower bound of the deadlines below.
func (c child) bound() int64 {
	if c.branch != nil {
		return c.branch.earliest
	}
	return c.leaf.bound()
}

// countOver returns how many entries under b are over, in time proportional to the nodes
// whose bounds are due.
func (b *branch) countOver(now int64) (over int) {
	if !isDue(b.earliest, now) {
		return 0
	}
	for i := 0; i < fanout; {
		c := b.slots[i]
		i += c.width()
		if c.branch != nil {
			over += c.branch.countOver(now)
			continue
		}
		for l := c.leaf; l != nil; l = l.next {
			over += l.countOver(now)
		}
	}
	return over
}

func (l *leaf) countOver(now int64) (over int) {
	if l.deadlines == nil || !isDue(l.deadlines.earliest, now) {
		return 0
	}
	for i := range l.entries[:l.count] {
		if l.isOver(i, now) {
			over++
		}
	}
	return over
}

// Advance tells the map the time. If the time goes back, entries that are over and not
// removed yet are in the map again.
func (m *Map) Advance(now int64) { m.now = now }

// NextDeadline returns a time at which an entry may be over, or 0 if no entry has a
// deadline. No entry is over earlier.
func (m *Map) NextDeadline() int64 { return m.root.earliest }

// IsDue reports whether an entry may be over that is not removed yet.
func (m *Map) IsDue() bool { return isDue(m.root.earliest, m.now) }

// Timed returns how many entries have a deadline. Entries that are over count until their
// removal.
func (m *Map) Timed() int { return m.timed }

// Expire removes the entries of a leaf that are over, 32 at most where hashes do not
// collide, and returns their number, in constant time. While IsDue, the caller is to call
// Expire again. A call for a bound that was out of date removes nothing, and raises the
// bound.
//
// Expire reads no key: a Remove of each key in turn waited for the memory of each, and a
// call took five times as long (go test -bench Expire ./internal/trie).
func (m *Map) Expire() (removed int) {
	if !m.IsDue() {
		return 0
	}
	m.root = m.writableBranch(m.root)
	removed = m.expireBelow(m.root, rootShift, m.root.firstDue(m.now))
	m.size -= removed
	m.timed -= removed
	return removed
}

// firstDue returns the first bits of a hash that leads from b, the root, to a leaf whose
// bound is due. Below a branch whose bound alone is due, firstDue takes any leaf.
func (b *branch) firstDue(now int64) (hash uint64) {
	for shift := uint(rootShift); b != nil; shift -= indexBits {
		due := 0
		for i := 0; i < fanout; i += b.slots[i].width() {
			if isDue(b.slots[i].bound(), now) {
				due = i
				break
			}
		}
		hash |= uint64(due) << shift
		b = b.slots[due].branch
	}
	return hash
}

// expireBelow removes the entries that are over from the leaf that hash leads to, makes the
// bound of the leaf exact, and those of the branches on the way as high as the children's.
// b must be writable.
func (m *Map) expireBelow(b *branch, shift uint, hash uint64) (removed int) {
	slot := &b.slots[slotIndex(hash, shift)]
	switch {
	case slot.branch != nil:
		slot.branch = m.writableBranch(slot.branch)
		removed = m.expireBelow(slot.branch, shift-indexBits, hash)
		m.replaceByLeaf(b, shift, hash)
	case slot.leaf.bound() != 0:
		l := m.writableLeaf(b, shift, hash)
		removed = l.removeOver(m.now)
		l.correctBounds()
		m.join(b, shift, hash)
	}
	b.earliest = 0
	for i := 0; i < fanout; i += b.slots[i].width() {
		b.earliest = earlier(b.earliest, b.slots[i].bound())
	}
	return removed
}

// removeOver removes the entries of the chain that are over. Of each leaf the last goes
// first: an entry that fills a gap is not over.
func (l *leaf) removeOver(now int64) (removed int) {
	for at := l; at != nil; at = at.next {
		for i := int(at.count) - 1; i >= 0; i-- {
			if !at.isOver(i, now) {
				continue
			}
			removed++
			if l.removeAt(at, i) {
				at, i = l, int(l.count)
			}
		}
	}
	return removed
}

// correctBounds makes the bounds of the chain exact.
func (l *leaf) correctBounds() {
	for ; l != nil; l = l.next {
		if l.deadlines == nil {
			continue
		}
		l.deadlines.earliest = 0
		for _, deadline := range l.deadlines.of[:l.count] {
			l.deadlines.earliest = earlier(l.deadlines.earliest, deadline)
		}
		if l.deadlines.earliest == 0 {
			l.deadlines = nil
		}
	}
}

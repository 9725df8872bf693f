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
func (m *Map) Expire() (removed int) {
	if !m.IsDue() {
		return 0
	}
	hash, l := m.root.firstDue(m.now)
	for _, key := range l.keysOver(m.now) {
		m.Remove(key)
		removed++
	}
	m.root = m.writableBranch(m.root)
	m.correctBounds(m.root, rootShift, hash)
	return removed
}

// firstDue returns a leaf under b, the root, whose bound is due, and the first bits of a
// hash that leads to the leaf. Below a branch whose bound alone is due, firstDue returns
// any leaf.
func (b *branch) firstDue(now int64) (hash uint64, l *leaf) {
	for shift := uint(rootShift); ; shift -= indexBits {
		due := 0
		for i := 0; i < fanout; i += b.slots[i].width() {
			if isDue(b.slots[i].bound(), now) {
				due = i
				break
			}
		}
		hash |= uint64(due) << shift
		if l = b.slots[due].leaf; l != nil {
			return hash, l
		}
		b = b.slots[due].branch
	}
}

// keysOver returns the keys in the chain whose entries are over.
func (l *leaf) keysOver(now int64) (keys []string) {
	for ; l != nil; l = l.next {
		for i := range l.entries[:l.count] {
			if l.isOver(i, now) {
				keys = append(keys, l.entries[i].key)
			}
		}
	}
	return keys
}

// correctBounds makes the bounds exact in the leaf that hash leads to, and as high as the
// children's in the branches on the way. b must be writable.
func (m *Map) correctBounds(b *branch, shift uint, hash uint64) {
	slot := &b.slots[slotIndex(hash, shift)]
	switch {
	case slot.branch != nil:
		slot.branch = m.writableBranch(slot.branch)
		m.correctBounds(slot.branch, shift-indexBits, hash)
	case slot.leaf.bound() != 0:
		m.writableLeaf(b, shift, hash).correctBounds()
	}
	b.earliest = 0
	for i := 0; i < fanout; i += b.slots[i].width() {
		b.earliest = earlier(b.earliest, b.slots[i].bound())
	}
}

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

package trie

// A View is a map as it was at one moment. It never changes, so any number of
// goroutines may read it at once. The zero View is not usable.
type View struct {
	hasher
	root *branch
	size int
}

// Len returns the number of entries, in constant time.
func (v View) Len() int { return v.size }

// Get returns the value key had, and whether it had one.
func (v View) Get(key string) (value string, ok bool) {
	return v.root.get(v.hash(key), key)
}

// All calls yield for every entry, in no particular order, until it returns
// false.
func (v View) All(yield func(key, value string) bool) {
	v.root.all(yield)
}

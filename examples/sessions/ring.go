package main

// A ring holds the newest values that were added, up to its limit.
//
// Invariant: len(values) <= limit. Only a full ring has a next that is not 0.
type ring[T any] struct {
	limit  int
	values []T
	next   int // the place of the oldest value of a full ring, which is replaced next
}

func (r *ring[T]) add(value T) {
	if len(r.values) < r.limit {
		r.values = append(r.values, value)
		return
	}
	r.values[r.next] = value
	r.next = (r.next + 1) % r.limit
}

// all returns a copy of the values, the oldest first.
func (r *ring[T]) all() []T {
	return append(append(make([]T, 0, len(r.values)), r.values[r.next:]...), r.values[:r.next]...)
}

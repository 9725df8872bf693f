package durable

import "sync"

// registry keeps the files that this process owns open. Without it the garbage
// collector would close the file of a store that is no longer used, and with it
// drop the lock; and where there are no locks, it is all there is.
type registry struct {
	mu   sync.Mutex // guards held
	held map[holding]Handle
}

// A holding is a path on one file system: a test's processes have one each.
type holding struct {
	fs   FS
	path string
}

var owned = registry{held: map[holding]Handle{}}

func (r *registry) at(where holding) Handle {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[where]
}

func (r *registry) hold(where holding, h Handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[where] = h
}

func (r *registry) release(where holding, h Handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[where] == h {
		delete(r.held, where)
	}
}

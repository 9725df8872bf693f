package etcd

import (
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// An inbox has the responses of a watch that are not applied yet. The client of etcd keeps such
// responses in a buffer without a bound, of which it tells nothing. So a goroutine takes them
// from the client as they come, and the inbox counts their bytes. When they are more than limit,
// the session ends and lets go of them, and the next one has the cluster send them again.
type inbox struct {
	limit   int
	arrived chan struct{} // capacity 1: one signal is for all that is there

	mu        sync.Mutex
	responses []clientv3.WatchResponse
	bytes     int
}

func newInbox(limit int) *inbox {
	return &inbox{limit: limit, arrived: make(chan struct{}, 1)}
}

// put adds a response, and reports whether there was room. An empty inbox takes any response, or
// a transaction larger than limit would never be applied.
func (in *inbox) put(response clientv3.WatchResponse) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := size(response)
	if len(in.responses) > 0 && in.bytes+n > in.limit {
		return false
	}
	in.responses = append(in.responses, response)
	in.bytes += n
	select {
	case in.arrived <- struct{}{}:
	default:
	}
	return true
}

// take returns all responses and leaves the inbox empty.
func (in *inbox) take() []clientv3.WatchResponse {
	in.mu.Lock()
	defer in.mu.Unlock()
	taken := in.responses
	in.responses, in.bytes = nil, 0
	return taken
}

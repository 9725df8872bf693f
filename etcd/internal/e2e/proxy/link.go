package proxy

import (
	"net"
	"sync"
	"time"
)

// A Link is the network between clients and one target. Its methods may be called by any goroutine.
type Link struct {
	target string
	work   sync.WaitGroup // every goroutine of the link

	mu      sync.Mutex // guards the fields below
	fault   fault
	changed chan struct{} // closed when fault changes
	open    map[net.Conn]struct{}
	closed  bool
}

// A fault is the state of the network. The zero fault is none.
type fault struct {
	hole  [2]bool // for each way, whether bytes are held
	reset bool
	delay time.Duration
}

// A way is a direction through the link.
type way int

const (
	there way = iota // to the target
	back
)

func newLink(target string) *Link {
	return &Link{target: target, changed: make(chan struct{}), open: map[net.Conn]struct{}{}}
}

// Pass ends every fault.
func (l *Link) Pass() { l.set(fault{}) }

// Hold has no byte arrive, on the way to the target, on the way back, or on both. It closes
// nothing: neither side learns of it. Bytes that are sent meanwhile arrive once the fault has ended,
// as after TCP's repetitions.
func (l *Link) Hold(there, back bool) { l.set(fault{hole: [2]bool{there, back}}) }

// BlackHole is a Hold for both ways.
func (l *Link) BlackHole() { l.Hold(true, true) }

// Deafen is a Hold for the way back: requests arrive, and their answers do not.
func (l *Link) Deafen() { l.Hold(false, true) }

// Delay has every byte arrive later by d, in either direction.
func (l *Link) Delay(d time.Duration) { l.set(fault{delay: d}) }

// Reset resets the connections that are open, and every connection that is made until another
// fault or Pass.
func (l *Link) Reset() {
	l.set(fault{reset: true})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endAll()
}

func (l *Link) set(f fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *Link) now() (f fault, changed <-chan struct{}, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault, l.changed, l.closed
}

// end closes every connection and waits for the link's goroutines. No take may begin after it.
func (l *Link) end() {
	l.Pass()
	l.mu.Lock()
	l.closed = true
	l.endAll()
	l.mu.Unlock()
	l.work.Wait()
}

// endAll closes the open connections with a reset. The caller holds mu.
func (l *Link) endAll() {
	for c := range l.open {
		c.(*net.TCPConn).SetLinger(0) // a reset in place of an orderly end
		c.Close()
	}
}

// keep adds c to the open connections, unless these are to be reset.
func (l *Link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.fault.reset {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		return false
	}
	l.open[c] = struct{}{}
	return true
}

func (l *Link) drop(c net.Conn) {
	c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// take joins the connection of a client to a new connection to the target, and does not wait.
func (l *Link) take(near net.Conn) {
	if l.keep(near) {
		l.work.Go(func() { l.connect(near) })
	}
}

func (l *Link) connect(near net.Conn) {
	defer l.drop(near)
	far, err := net.DialTimeout("tcp", l.target, time.Second)
	if err != nil || !l.keep(far) {
		return
	}
	defer l.drop(far)
	// The end of either direction ends both: HTTP/2 closes no connection by halves.
	var both sync.WaitGroup
	carry := func(from, to net.Conn, w way) {
		l.carry(from, to, w)
		near.Close()
		far.Close()
	}
	both.Go(func() { carry(near, far, there) })
	both.Go(func() { carry(far, near, back) })
	both.Wait()
}

// A parcel is bytes that have arrived at the proxy.
type parcel struct {
	bytes []byte
	at    time.Time
}

// carry copies from one connection to another until one of them ends. Reading goes on while
// parcels wait out their delay.
func (l *Link) carry(from, to net.Conn, w way) {
	// Room for what a sender sends in a delay; beyond it, the sender is held up by TCP.
	parcels := make(chan parcel, 1024)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(parcels)
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				parcels <- parcel{append([]byte(nil), buffer[:n]...), time.Now()}
			}
			if err != nil {
				return
			}
		}
	})
	for next := range parcels {
		l.await(next.at, w)
		if _, err := to.Write(next.bytes); err != nil {
			break
		}
	}
	from.Close()
	for range parcels { // let the reader end
	}
	reader.Wait()
}

// await waits until bytes that arrived at a time may go on.
func (l *Link) await(at time.Time, w way) {
	for {
		f, changed, closed := l.now()
		wait := time.Until(at.Add(f.delay))
		if closed || !f.hole[w] && wait <= 0 {
			return
		}
		var due <-chan time.Time // never, in a hole
		if !f.hole[w] {
			due = time.After(wait)
		}
		select {
		case <-changed:
		case <-due:
		}
	}
}

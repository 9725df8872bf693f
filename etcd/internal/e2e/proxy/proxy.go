// Package proxy is a TCP proxy with the faults of a network: it loses the way, is slow, or
// resets connections, and is sound again on demand.
package proxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A Proxy passes connections on to one address. Its methods may be called by any goroutine.
type Proxy struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup // every goroutine of the proxy

	mu      sync.Mutex // guards the fields below
	fault   fault
	changed chan struct{} // closed when fault changes
	open    map[net.Conn]struct{}
	closed  bool
}

// A fault is the state of the network. The zero fault is none.
type fault struct {
	hole  map[way]bool // where bytes are held
	reset bool
	delay time.Duration
}

// A way is a direction through the proxy.
type way int

const (
	there way = iota // to the target
	back
)

// New starts a proxy on a free port of the loopback, for connections to target.
func New(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	p := &Proxy{listener: l, target: target, changed: make(chan struct{}), open: map[net.Conn]struct{}{}}
	p.work.Go(p.accept)
	return p, nil
}

// Addr returns the address of the proxy, as HOST:PORT.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Pass ends every fault.
func (p *Proxy) Pass() { p.set(fault{}) }

// BlackHole has no byte arrive, in either direction, and closes nothing: neither side learns of
// it. Bytes that are sent meanwhile arrive once the fault has ended, as after TCP's repetitions.
func (p *Proxy) BlackHole() { p.set(fault{hole: map[way]bool{there: true, back: true}}) }

// Deafen is a BlackHole for the way back only: requests arrive, and their answers do not.
func (p *Proxy) Deafen() { p.set(fault{hole: map[way]bool{back: true}}) }

// Delay has every byte arrive later by d, in either direction.
func (p *Proxy) Delay(d time.Duration) { p.set(fault{delay: d}) }

// Reset resets the connections that are open, and every connection that is made until another
// fault or Pass.
func (p *Proxy) Reset() {
	p.set(fault{reset: true})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endAll()
}

func (p *Proxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) now() (f fault, changed <-chan struct{}, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed, p.closed
}

// Close closes every connection and waits for the proxy's goroutines.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.Pass()
	p.mu.Lock()
	p.closed = true
	p.endAll()
	p.mu.Unlock()
	p.work.Wait()
	return err
}

// endAll closes the open connections with a reset. The caller holds mu.
func (p *Proxy) endAll() {
	for c := range p.open {
		c.(*net.TCPConn).SetLinger(0) // a reset in place of an orderly end
		c.Close()
	}
}

// keep adds c to the open connections, unless these are to be reset.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.fault.reset {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && p.keep(near) {
			p.work.Go(func() { p.connect(near) })
		}
	}
}

// connect joins near to a new connection to the target.
func (p *Proxy) connect(near net.Conn) {
	defer p.drop(near)
	far, err := net.DialTimeout("tcp", p.target, time.Second)
	if err != nil || !p.keep(far) {
		return
	}
	defer p.drop(far)
	// The end of either direction ends both: HTTP/2 closes no connection by halves.
	var both sync.WaitGroup
	carry := func(from, to net.Conn, w way) {
		p.carry(from, to, w)
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
func (p *Proxy) carry(from, to net.Conn, w way) {
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
		p.hold(next.at, w)
		if _, err := to.Write(next.bytes); err != nil {
			break
		}
	}
	from.Close()
	for range parcels { // let the reader end
	}
	reader.Wait()
}

// hold waits until bytes that arrived at a time may go on.
func (p *Proxy) hold(at time.Time, w way) {
	for {
		f, changed, closed := p.now()
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

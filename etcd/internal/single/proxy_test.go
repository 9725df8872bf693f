package single

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A proxy stands between clients and a server, and does what networks do: break, keep silent,
// and deliver late.
type proxy struct {
	listener net.Listener
	parts    sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	target   string
	refusing bool
	held     [2]bool // by direction
	pairs    map[*pair]struct{}
}

// The directions of a proxy.
const (
	requests = iota
	replies
)

type pair struct {
	client, server net.Conn
	waiting        [2]int // bytes that were read and are held
	late           bool   // the client has gone, and its requests are delivered later
	stuck          bool   // they are not delivered yet
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: target, pairs: make(map[*pair]struct{})}
	p.changed = sync.NewCond(&p.mu)
	p.parts.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.release()
		p.deliverLate()
		p.breakAll()
		p.parts.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target, refusing := p.target, p.refusing
		p.mu.Unlock()
		server, err := net.Dial("tcp", target)
		if refusing || err != nil {
			client.Close()
			if err == nil {
				server.Close()
			}
			continue
		}
		c := &pair{client: client, server: server}
		p.mu.Lock()
		p.pairs[c] = struct{}{}
		p.mu.Unlock()
		p.parts.Go(func() { p.copy(c, requests, server, client) })
		p.parts.Go(func() { p.copy(c, replies, client, server) })
	}
}

func (p *proxy) copy(c *pair, direction int, to io.Writer, from io.Reader) {
	defer p.drop(c, direction)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.await(c, direction, n)
			if _, err := to.Write(buffer[:n]); err != nil && !p.isLate(c) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// await waits while the direction is held.
func (p *proxy) await(c *pair, direction, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.waiting[direction] += n
	for p.held[direction] || c.stuck && direction == requests {
		p.changed.Wait()
	}
	c.waiting[direction] = 0
}

// drop ends a direction of a pair, and with it the pair, unless the pair is late: then the server
// still has to get the requests.
func (p *proxy) drop(c *pair, direction int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.late && direction == requests {
		return
	}
	delete(p.pairs, c)
	c.client.Close()
	c.server.Close()
}

func (p *proxy) isLate(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.late
}

// hold keeps all bytes of a direction.
func (p *proxy) hold(direction int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[direction] = true
}

// release delivers what is held.
func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = [2]bool{}
	p.changed.Broadcast()
}

// holding reports whether bytes of a direction are held.
func (p *proxy) holding(direction int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if c.waiting[direction] > 0 {
			return true
		}
	}
	return false
}

// breakAll closes all connections. What is held is lost.
func (p *proxy) breakAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.client.Close()
		c.server.Close()
	}
}

// leaveLate closes the clients' sides of all connections, and keeps their requests for a
// deliverLate. New connections are not held.
func (p *proxy) leaveLate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.late, c.stuck = true, true
		c.client.Close()
	}
	p.held = [2]bool{}
	p.changed.Broadcast()
}

// deliverLate delivers what leaveLate has kept.
func (p *proxy) deliverLate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.stuck = false
	}
	p.changed.Broadcast()
}

// refuse breaks all connections and takes no more.
func (p *proxy) refuse() {
	p.mu.Lock()
	p.refusing = true
	p.mu.Unlock()
	p.breakAll()
}

// admit takes connections again, to target unless that is "".
func (p *proxy) admit(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = false
	if target != "" {
		p.target = target
	}
}

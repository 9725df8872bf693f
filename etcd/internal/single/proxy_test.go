package single

import (
	"bytes"
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

// A pair is a connection of a client and the one that the proxy has made to the server for it.
type pair struct {
	client, server net.Conn
	kept           [2][]byte // bytes that came and are not delivered yet
	ended          [2]bool   // no more will come
	broken         bool
	late           bool // the client has gone, and its requests are delivered later
	stuck          bool // they are not delivered yet
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
		p.connect(client)
	}
}

func (p *proxy) connect(client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	server, err := net.Dial("tcp", p.target)
	if err != nil || p.refusing {
		client.Close()
		if err == nil {
			server.Close()
		}
		return
	}
	c := &pair{client: client, server: server}
	p.pairs[c] = struct{}{}
	p.parts.Go(func() { p.read(c, requests, client) })
	p.parts.Go(func() { p.write(c, requests, server) })
	p.parts.Go(func() { p.read(c, replies, server) })
	p.parts.Go(func() { p.write(c, replies, client) })
}

// read keeps what comes from one side.
func (p *proxy) read(c *pair, direction int, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		c.kept[direction] = append(c.kept[direction], buffer[:n]...)
		c.ended[direction] = err != nil
		p.changed.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// write delivers what was kept to the other side.
func (p *proxy) write(c *pair, direction int, to net.Conn) {
	defer p.drop(c, direction)
	for {
		data, more := p.next(c, direction)
		if !more {
			return
		}
		if _, err := to.Write(data); err != nil && !p.isLate(c) {
			return
		}
	}
}

// next waits until there is something to deliver and it may be delivered.
func (p *proxy) next(c *pair, direction int) (data []byte, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		may := !p.held[direction] && !(c.stuck && direction == requests)
		switch {
		case c.broken, may && c.ended[direction] && len(c.kept[direction]) == 0:
			return nil, false
		case may && len(c.kept[direction]) > 0:
			data, c.kept[direction] = c.kept[direction], nil
			return data, true
		}
		p.changed.Wait()
	}
}

// drop ends a direction of a pair, and with it the pair, unless the pair is late: then the server
// may still be at work on the requests.
func (p *proxy) drop(c *pair, direction int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.late && !c.broken && direction == requests {
		return
	}
	p.end(c)
}

// end closes a pair. The caller has the lock.
func (p *proxy) end(c *pair) {
	c.broken = true
	delete(p.pairs, c)
	c.client.Close()
	c.server.Close()
	p.changed.Broadcast()
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

// holds reports whether a text is among the requests that are held.
func (p *proxy) holds(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if bytes.Contains(c.kept[requests], []byte(text)) {
			return true
		}
	}
	return false
}

// breakAll closes all connections, and loses all that is held.
func (p *proxy) breakAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		p.end(c)
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

package main

import (
	"io"
	"net"
	"sync"
)

// A proxy stands between a replica and its server, and cuts them off.
type proxy struct {
	listener net.Listener
	target   string
	parts    sync.WaitGroup

	mu          sync.Mutex
	away        bool
	connections []net.Conn
}

func newProxy(target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, target: target}
	p.parts.Go(p.accept)
	return p, nil
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
	if p.away {
		client.Close()
		return
	}
	target, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	p.connections = append(p.connections, client, target)
	p.parts.Go(func() { pass(client, target) })
	p.parts.Go(func() { pass(target, client) })
}

// pass delivers the bytes of one direction, and closes both ends after the last.
func pass(from, to net.Conn) {
	io.Copy(to, from)
	from.Close()
	to.Close()
}

// cut breaks all connections and takes no more.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
	for _, c := range p.connections {
		c.Close()
	}
	p.connections = nil
}

// mend takes connections again.
func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = false
}

func (p *proxy) close() {
	p.listener.Close()
	p.cut()
	p.parts.Wait()
}

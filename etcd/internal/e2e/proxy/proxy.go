// Package proxy is a TCP proxy with the faults of a network: it loses the way, is slow, or
// resets connections, and is sound again on demand. A [Proxy] stands before one address. A [Gateway]
// stands behind one client, and so can treat the ways to each of its targets apart.
package proxy

import (
	"errors"
	"fmt"
	"net"
)

// A Proxy passes connections on to one address. Its methods may be called by any goroutine.
type Proxy struct {
	*Link
	listener net.Listener
}

// New starts a proxy on a free port of the loopback, for connections to target.
func New(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	p := &Proxy{newLink(target), l}
	p.work.Go(func() { accept(l, p.take) })
	return p, nil
}

// Addr returns the address of the proxy, as HOST:PORT.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close closes every connection and waits for the proxy's goroutines.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.end()
	return err
}

// accept calls take for each connection, until l is closed.
func accept(l net.Listener, take func(net.Conn)) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			take(c)
		}
	}
}

package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Gateway is a SOCKS proxy (RFC 1928, version 5) that serves one client. The client names the
// target of each connection, and each target has a [Link] of its own.
type Gateway struct {
	listener net.Listener
	links    map[netip.AddrPort]*Link
	work     sync.WaitGroup // the goroutines that are not a link's
}

// NewGateway starts a gateway on a free port of the loopback. targets has, for each address that the
// client may name, the address as HOST:PORT to which its connections lead.
func NewGateway(targets map[netip.AddrPort]string) (*Gateway, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a gateway: %w", err)
	}
	g := &Gateway{listener: l, links: map[netip.AddrPort]*Link{}}
	for name, target := range targets {
		g.links[name] = newLink(target)
	}
	g.work.Go(func() {
		accept(l, func(c net.Conn) { g.work.Go(func() { g.serve(c) }) })
	})
	return g, nil
}

// URL returns the address of the gateway, as the variable HTTP_PROXY of the client takes it.
func (g *Gateway) URL() string { return "socks5://" + g.listener.Addr().String() }

// Link returns the way to a target by the name that the client gives it, or nil.
func (g *Gateway) Link(name netip.AddrPort) *Link { return g.links[name] }

// Close closes every connection and waits for the gateway's goroutines. A connection that has not
// named its target has no more than patience for it.
func (g *Gateway) Close() error {
	err := g.listener.Close()
	g.work.Wait()
	for _, l := range g.links {
		l.end()
	}
	return err
}

// patience is how long a client may take to name its target.
const patience = time.Second

func (g *Gateway) serve(c net.Conn) {
	name, err := negotiate(c)
	link := g.links[name]
	if err != nil || link == nil {
		c.Close()
		return
	}
	link.take(c)
}

var errProtocol = errors.New("not a request of SOCKS for an address of IPv4")

// negotiate reads which target a client asks for, and agrees. The client waits for each answer, so
// nothing of the target's is read.
func negotiate(c net.Conn) (name netip.AddrPort, err error) {
	c.SetDeadline(time.Now().Add(patience))
	defer c.SetDeadline(time.Time{})
	var offer [2]byte // the version, and the number of methods that follow
	if _, err := io.ReadFull(c, offer[:]); err != nil {
		return name, err
	}
	if _, err := io.CopyN(io.Discard, c, int64(offer[1])); err != nil {
		return name, err
	}
	if _, err := c.Write([]byte{5, 0}); err != nil { // no password
		return name, err
	}
	var request [10]byte // the version, "connect", 0, "IPv4", the address and the port
	if _, err := io.ReadFull(c, request[:]); err != nil {
		return name, err
	}
	if [4]byte(request[:4]) != [4]byte{5, 1, 0, 1} {
		return name, errProtocol
	}
	name = netip.AddrPortFrom(netip.AddrFrom4([4]byte(request[4:8])), binary.BigEndian.Uint16(request[8:]))
	_, err = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}) // granted, from an address that no client asks for
	return name, err
}

package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The names of two targets. No network has these addresses (RFC 5737).
var (
	one = netip.MustParseAddrPort("192.0.2.1:80")
	two = netip.MustParseAddrPort("192.0.2.2:80")
)

// A visitor asks servers behind a gateway for their names.
type visitor struct {
	t      *testing.T
	client *http.Client
}

// beginGateway returns a gateway to two servers, and the names of the servers that a request has
// reached.
func beginGateway(t *testing.T) (*Gateway, visitor, <-chan string) {
	t.Helper()
	heard := make(chan string, 100) // more than any test sends
	targets := map[netip.AddrPort]string{}
	for name, at := range map[string]netip.AddrPort{"one": one, "two": two} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			heard <- name
			io.WriteString(w, name)
		}))
		t.Cleanup(server.Close)
		targets[at] = server.Listener.Addr().String()
	}
	g, err := NewGateway(targets)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	address, err := url.Parse(g.URL())
	require.NoError(t, err)
	transport := &http.Transport{Proxy: http.ProxyURL(address), DisableKeepAlives: true}
	return g, visitor{t, &http.Client{Transport: transport}}, heard
}

func (v visitor) ask(target netip.AddrPort, within time.Duration) (string, error) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target.String(), nil)
	require.NoError(v.t, err)
	answer, err := v.client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

func (v visitor) expect(target netip.AddrPort, name string) {
	v.t.Helper()
	text, err := v.ask(target, 10*time.Second)
	require.NoError(v.t, err)
	require.Equal(v.t, name, text)
}

func TestGatewayLeadsToEachTarget(t *testing.T) {
	_, v, _ := beginGateway(t)
	v.expect(one, "one")
	v.expect(two, "two")
}

func TestGatewayHoldsEachWayToEachTargetAlone(t *testing.T) {
	for name, c := range map[string]struct {
		there, back bool
		arrives     bool
	}{
		"there": {there: true},
		"back":  {back: true, arrives: true},
		"both":  {there: true, back: true},
	} {
		t.Run(name, func(t *testing.T) {
			g, v, heard := beginGateway(t)
			g.Link(one).Hold(c.there, c.back)
			_, err := v.ask(one, brief)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			v.expect(two, "two")
			if c.arrives {
				require.Equal(t, "one", <-heard)
			}
			require.Equal(t, "two", <-heard)
			require.Empty(t, heard)
			g.Link(one).Pass()
			v.expect(one, "one")
		})
	}
}

func TestGatewayKnowsNoOtherTarget(t *testing.T) {
	g, v, _ := beginGateway(t)
	_, err := v.ask(netip.MustParseAddrPort("192.0.2.3:80"), 10*time.Second)
	require.Error(t, err)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.Nil(t, g.Link(netip.MustParseAddrPort("192.0.2.3:80")))
}

func TestGatewayRefusesOtherProtocols(t *testing.T) {
	for name, bytes := range map[string]string{
		"a name in place of an address": "\x05\x01\x00\x05\x01\x00\x03\x04abcd\x00P",
		"a request to listen":           "\x05\x01\x00\x05\x02\x00\x01\xc0\x00\x02\x01\x00P",
	} {
		t.Run(name, func(t *testing.T) {
			g, _, _ := beginGateway(t)
			c, err := net.Dial("tcp", g.listener.Addr().String())
			require.NoError(t, err)
			defer c.Close()
			_, err = io.WriteString(c, bytes)
			require.NoError(t, err)
			said, _ := io.ReadAll(c) // its error may be a reset: not all bytes were read
			require.Equal(t, "\x05\x00", string(said))
		})
	}
}

// A client that connects and says nothing does not hold up a Close for long.
func TestGatewayClosesWithASilentClient(t *testing.T) {
	g, err := NewGateway(nil)
	require.NoError(t, err)
	c, err := net.Dial("tcp", g.listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	begun := time.Now()
	require.NoError(t, g.Close())
	require.Less(t, time.Since(begun), 5*patience)
}

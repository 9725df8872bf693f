package proxy

import (
	"bufio"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brief is long enough for an echo on the loopback that is not held up.
const brief = 200 * time.Millisecond

// An echo is a connection to a server that sends back what it gets.
type echo struct {
	t *testing.T
	net.Conn
	lines *bufio.Reader
}

// begin returns a proxy for a new echo server.
func begin(t *testing.T) *Proxy {
	t.Helper()
	p, _ := beginHeard(t)
	return p
}

// beginHeard returns a proxy for a new echo server, and the lines that arrive at the server.
func beginHeard(t *testing.T) (*Proxy, <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	heard := make(chan string, 100) // more than any test sends
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveEcho(c, heard)
		}
	}()
	p, err := New(l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p, heard
}

func serveEcho(c net.Conn, heard chan<- string) {
	defer c.Close()
	for lines := bufio.NewReader(c); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		heard <- line
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
	}
}

func dial(t *testing.T, p *Proxy) echo {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return echo{t, c, bufio.NewReader(c)}
}

func (e echo) send(line string) {
	e.t.Helper()
	_, err := io.WriteString(e, line+"\n")
	require.NoError(e.t, err)
}

func (e echo) receive(within time.Duration) (string, error) {
	e.SetReadDeadline(time.Now().Add(within))
	return e.lines.ReadString('\n')
}

func (e echo) expect(line string) {
	e.t.Helper()
	got, err := e.receive(10 * time.Second)
	require.NoError(e.t, err)
	require.Equal(e.t, line+"\n", got)
}

func TestPass(t *testing.T) {
	e := dial(t, begin(t))
	e.send("1")
	e.expect("1")
}

func TestBlackHoleHoldsBytesUntilItEnds(t *testing.T) {
	p := begin(t)
	before := dial(t, p)
	before.send("0")
	before.expect("0")
	p.BlackHole()
	during := dial(t, p)
	for _, e := range []echo{before, during} {
		e.send("1")
		_, err := e.receive(brief)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	p.Pass()
	for _, e := range []echo{before, during} {
		e.expect("1")
	}
}

func TestDeafenHoldsAnswersOnly(t *testing.T) {
	p, heard := beginHeard(t)
	e := dial(t, p)
	e.send("0")
	e.expect("0")
	require.Equal(t, "0\n", <-heard)
	p.Deafen()
	e.send("1")
	_, err := e.receive(brief)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, "1\n", <-heard)
	p.Pass()
	e.expect("1")
}

func TestDelayIsAddedInEachDirection(t *testing.T) {
	p := begin(t)
	e := dial(t, p)
	p.Delay(brief)
	begun := time.Now()
	for _, line := range []string{"1", "2", "3"} {
		e.send(line)
	}
	for _, line := range []string{"1", "2", "3"} {
		e.expect(line)
	}
	require.GreaterOrEqual(t, time.Since(begun), 2*brief)
	require.Less(t, time.Since(begun), 6*brief, "the delays of several lines were added up")
	p.Pass()
	begun = time.Now()
	e.send("4")
	e.expect("4")
	require.Less(t, time.Since(begun), 2*brief)
}

func TestResetEndsOldAndNewConnections(t *testing.T) {
	p := begin(t)
	before := dial(t, p)
	before.send("0")
	before.expect("0")
	p.Reset()
	_, err := before.receive(10 * time.Second)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	during, err := net.Dial("tcp", p.Addr())
	if err == nil { // the kernel has accepted it before the proxy
		defer during.Close()
		_, err = during.Read(make([]byte, 1))
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
	p.Pass()
	after := dial(t, p)
	after.send("1")
	after.expect("1")
}

func TestCloseDuringAFault(t *testing.T) {
	for name, fault := range map[string]func(*Proxy){
		"black hole": (*Proxy).BlackHole,
		"delay":      func(p *Proxy) { p.Delay(time.Hour) },
		"reset":      (*Proxy).Reset,
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t)
			e := dial(t, p)
			e.send("0")
			e.expect("0")
			fault(p)
			io.WriteString(e, "1\n") // fails if the connection was reset first
		})
	}
}

func TestTargetThatIsDown(t *testing.T) {
	p, err := New("127.0.0.1:1")
	require.NoError(t, err)
	defer p.Close()
	_, err = dial(t, p).receive(10 * time.Second)
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

package s3test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Fault is a way in which a request goes wrong.
type Fault struct {
	Name  string
	serve func(exchange)
	late  bool // the fault itself says when it strikes
}

func (f Fault) String() string { return f.Name }

// Faults of the line.
var (
	// ResetRequest resets the connection. The server has not seen the request.
	ResetRequest = Fault{Name: "reset of the request", serve: exchange.reset}

	// ResetAnswer resets the connection after the server has carried the request out.
	ResetAnswer = Fault{Name: "reset of the answer", serve: func(x exchange) {
		_ = x.mustAsk(x.r.Body).Body.Close()
		x.reset()
	}}

	// CutRequest passes half of the body on, and then resets both connections. A request
	// without a body is reset.
	CutRequest = Fault{Name: "cut in the middle of the request", serve: func(x exchange) {
		if x.r.ContentLength > 0 {
			half := io.LimitReader(x.r.Body, x.r.ContentLength/2)
			_, _ = x.ask(io.NopCloser(io.MultiReader(half, broken{}))) // fails, that is the fault
		}
		x.reset()
	}}

	// CutAnswer ends the connection after half of the body. An answer without a body is not
	// sent at all.
	CutAnswer = Fault{Name: "cut in the middle of the answer", serve: func(x exchange) {
		x.half()
		panic(http.ErrAbortHandler)
	}}

	// StallRequest neither reads nor answers. The server has not seen the request.
	StallRequest = Fault{Name: "stall of the request", serve: exchange.stall}

	// StallAnswer sends nothing after half of the body. An answer without a body is not sent
	// at all. It strikes when the server has carried the request out.
	StallAnswer = Fault{Name: "stall in the middle of the answer", late: true, serve: func(x exchange) {
		x.half()
		x.strike()
		<-x.released
		panic(http.ErrAbortHandler)
	}}

	// Slow passes both bodies on in small pieces, with pauses. Nothing is lost.
	Slow = Fault{Name: "slow", serve: func(x exchange) {
		answer := x.mustAsk(withBody(x.r, trickle{x.r.Body}))
		x.relay(answer, trickle{answer.Body})
	}}
)

// Faults that are answers. The server has not seen the request. The statuses are those of S3's
// list of error codes. An expired token has 400 in that list, and 403 on some servers.
var (
	InternalError    = answering(http.StatusInternalServerError, "InternalError")
	SlowDown         = answering(http.StatusServiceUnavailable, "SlowDown")
	AccessDenied     = answering(http.StatusForbidden, "AccessDenied")
	ExpiredToken     = answering(http.StatusBadRequest, "ExpiredToken")
	ExpiredForbidden = answering(http.StatusForbidden, "ExpiredToken")
)

// pass is no fault.
var pass = Fault{Name: "no fault", serve: func(x exchange) {
	answer := x.mustAsk(x.r.Body)
	x.relay(answer, answer.Body)
}}

// answering returns the fault of an answer with an error code. The request is read to its
// end, or the client could see a reset in place of the answer.
func answering(status int, code string) Fault {
	return Fault{Name: fmt.Sprintf("%d %s", status, code), serve: func(x exchange) {
		_, _ = io.Copy(io.Discard, x.r.Body)
		x.w.Header().Set("Content-Type", "application/xml")
		x.w.WriteHeader(status)
		fmt.Fprintf(x.w, "<Error><Code>%s</Code><Message>from the proxy</Message></Error>", code)
	}}
}

// reset ends the client's connection with a TCP reset.
func (x exchange) reset() {
	conn := x.hijack()
	_ = conn.SetLinger(0) // so that Close sends a reset
	_ = conn.Close()
}

// stall holds the client's connection without reading from it.
func (x exchange) stall() {
	conn := x.hijack()
	<-x.released
	_ = conn.Close()
}

func (x exchange) hijack() *net.TCPConn {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return conn.(*net.TCPConn)
}

// half sends the first half of the server's answer.
func (x exchange) half() {
	answer := x.mustAsk(x.r.Body)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || len(body) == 0 {
		return
	}
	answer.Header.Set("Content-Length", fmt.Sprint(len(body)))
	x.head(answer)
	_, _ = x.w.Write(body[:len(body)/2])
	_ = http.NewResponseController(x.w).Flush()
}

// broken is the rest of a body that is cut.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut by the proxy") }

// A trickle reads in small pieces, with a pause before each: 16 MiB in a second at most.
type trickle struct{ io.ReadCloser }

func (t trickle) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return t.ReadCloser.Read(p[:min(len(p), 16<<10)])
}

// withBody returns body, or no body where the request has none: an HTTP client sends another
// header with a body that turns out to be empty.
func withBody(r *http.Request, body io.ReadCloser) io.ReadCloser {
	if r.ContentLength == 0 {
		return http.NoBody
	}
	return body
}

// A trap is a fault that waits for its request.
type trap struct {
	fault      Fault
	countdown  int         // the requests that match, up to the one that the fault is for
	operations []Operation // that match; if empty, all do
	lasting    bool        // each later request that matches has the fault, too
	strike     func()      // closes the channel that Arm has returned
}

// faultFor counts a request, and returns its fault.
func (t *trap) faultFor(r Request) Fault {
	if len(t.operations) > 0 && !slices.Contains(t.operations, r.Operation) {
		return pass
	}
	t.countdown--
	if t.countdown > 0 || t.countdown < 0 && !t.lasting {
		return pass
	}
	if !t.fault.late {
		t.strike()
	}
	return t.fault
}

// Arm has the fault happen to the nth request from now, counted from 1 and only among those of
// the operations, if any are given. It returns a channel that is closed when the fault
// strikes. A fault that was armed before is disarmed.
func (p *Proxy) Arm(f Fault, nth int, operations ...Operation) (struck <-chan struct{}) {
	return p.arm(&trap{fault: f, countdown: nth, operations: operations})
}

// ArmFrom is Arm for the nth request and for each request behind it: an outage that lasts.
func (p *Proxy) ArmFrom(f Fault, nth int, operations ...Operation) (struck <-chan struct{}) {
	return p.arm(&trap{fault: f, countdown: nth, operations: operations, lasting: true})
}

// Disarm removes the fault that is armed, and ends the requests that it has stalled.
func (p *Proxy) Disarm() { p.arm(nil) }

func (p *Proxy) arm(t *trap) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.released)
	p.released = make(chan struct{})
	p.armed, p.requests = t, nil
	if t == nil {
		return nil
	}
	struck := make(chan struct{})
	t.strike = sync.OnceFunc(func() { close(struck) })
	return struck
}

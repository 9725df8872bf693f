package s3test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Proxy passes requests on to a [Server], and goes wrong where a test says so. It speaks
// HTTP, and not only TCP, to tell the requests apart and to find the middle of a body.
type Proxy struct {
	// Immutable after NewProxy.
	address string
	server  string
	client  *http.Transport // to the server

	mu       sync.Mutex // protects the fields below
	requests []Request
	armed    *trap         // nil if no fault is armed
	released chan struct{} // closed by Disarm: the end of each stall
}

// A Request is the record of a request that a proxy has seen.
type Request struct {
	Operation Operation
	Key       string // of the object, "" for an operation on the bucket
}

func (r Request) String() string { return string(r.Operation) + " " + r.Key }

// An Operation is S3's name for a kind of request.
type Operation string

// The operations that copies need.
const (
	ListObjects             Operation = "ListObjects"
	GetObject               Operation = "GetObject"
	HeadObject              Operation = "HeadObject"
	PutObject               Operation = "PutObject"
	DeleteObject            Operation = "DeleteObject"
	CreateMultipartUpload   Operation = "CreateMultipartUpload"
	UploadPart              Operation = "UploadPart"
	CompleteMultipartUpload Operation = "CompleteMultipartUpload"
	AbortMultipartUpload    Operation = "AbortMultipartUpload"
)

// NewProxy starts a proxy in front of server. It is closed when the test ends, after the
// clients that the test has made behind it.
func NewProxy(tb testing.TB, server *Server) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	p := &Proxy{
		address:  listener.Addr().String(),
		server:   server.Address(),
		released: make(chan struct{}),
		// A connection of its own for each request: on a connection that is used again, an
		// end that the server chose could look like a fault of the proxy. Without
		// compression, bodies have the lengths that the server gives.
		client: &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	}
	front := &http.Server{Handler: p}
	served := make(chan error, 1) // has room, so the goroutine ends also if the test has failed
	go func() { served <- front.Serve(listener) }()
	tb.Cleanup(func() {
		p.Disarm()
		require.NoError(tb, front.Close())
		require.ErrorIs(tb, <-served, http.ErrServerClosed)
	})
	return p
}

// Address returns the host and port of the proxy.
func (p *Proxy) Address() string { return p.address }

// Requests returns the requests since the last call of Arm or Disarm, in the order of their
// arrival.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// ServeHTTP passes a request on, or does the fault that is armed for it.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{proxy: p, w: w, r: r}
	p.faultFor(requestOf(r), &x).serve(x)
}

// faultFor remembers a request, and returns the fault that is armed for it, or else pass.
func (p *Proxy) faultFor(r Request, x *exchange) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r)
	if p.armed == nil {
		return pass
	}
	x.released, x.strike = p.released, p.armed.strike
	return p.armed.faultFor(r)
}

func requestOf(r *http.Request) Request {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return Request{Operation: operationOf(r, key), Key: key}
}

// operationOf returns the operation of a request. For an operation that copies do not need, it
// returns the method and the query.
func operationOf(r *http.Request, key string) Operation {
	query := r.URL.Query()
	upload := query.Has("uploadId")
	switch {
	case r.Method == http.MethodGet && key == "":
		return ListObjects
	case r.Method == http.MethodGet:
		return GetObject
	case r.Method == http.MethodHead && key != "":
		return HeadObject
	case r.Method == http.MethodPut && upload:
		return UploadPart
	case r.Method == http.MethodPut && key != "":
		return PutObject
	case r.Method == http.MethodPost && query.Has("uploads"):
		return CreateMultipartUpload
	case r.Method == http.MethodPost && upload:
		return CompleteMultipartUpload
	case r.Method == http.MethodDelete && upload:
		return AbortMultipartUpload
	case r.Method == http.MethodDelete && key != "":
		return DeleteObject
	}
	return Operation(fmt.Sprintf("%s %s", r.Method, r.URL.RawQuery))
}

// An exchange is a request that a fault answers, or does not answer.
type exchange struct {
	proxy    *Proxy
	w        http.ResponseWriter
	r        *http.Request
	released <-chan struct{} // the end of a stall
	strike   func()          // closes the channel that Arm has returned
}

// ask passes the request on with this body, and returns the server's answer. The name of the
// host stays that of the proxy, because the client has signed it.
func (x exchange) ask(body io.ReadCloser) (*http.Response, error) {
	out := x.r.Clone(x.r.Context())
	out.URL.Scheme, out.URL.Host = "http", x.proxy.server
	out.RequestURI = "" // must be empty in a request of a client
	out.Body = body
	return x.proxy.client.RoundTrip(out)
}

// mustAsk is ask for a server that has to answer. If the server does not, the client sees a
// connection that is cut, and never an answer that the server did not give.
func (x exchange) mustAsk(body io.ReadCloser) *http.Response {
	answer, err := x.ask(body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return answer
}

// head sends the status and the header of an answer.
func (x exchange) head(answer *http.Response) {
	maps.Copy(x.w.Header(), answer.Header)
	x.w.Header().Del("Connection") // the server's, about its own connection
	x.w.WriteHeader(answer.StatusCode)
}

// relay sends an answer, and cuts the connection where the answer breaks off.
func (x exchange) relay(answer *http.Response, body io.Reader) {
	defer answer.Body.Close()
	x.head(answer)
	if _, err := io.Copy(x.w, body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

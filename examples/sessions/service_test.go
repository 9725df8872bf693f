package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie"
)

func TestSessionsOutliveTheService(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	backup := filepath.Join(t.TempDir(), "sessions.json")
	b := newBrowser(t)
	defer b.CloseIdleConnections()

	base, stop := startService(t, backup)
	b.login(base, "ada")
	cookies := b.Jar.Cookies(b.at(base))
	stop()

	base, stop = startService(t, backup)
	b.Jar.SetCookies(b.at(base), cookies)
	require.Equal(t, "ada", b.me(base))
	b.logout(base)
	stop()

	base, stop = startService(t, backup)
	b.requireCount(base, 0)
	stop()
}

// pipes is a listener in memory, which a synctest bubble needs.
type pipes chan net.Conn

func (p pipes) dial() net.Conn {
	here, there := net.Pipe()
	p <- there
	return here
}

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p); return nil }

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// beginLogin sends the header of a login without the form.
func beginLogin(conn net.Conn) {
	fmt.Fprint(conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\n\r\n")
}

// endLogin sends the form and requires an answer.
func endLogin(t *testing.T, conn net.Conn) {
	t.Helper()
	fmt.Fprint(conn, "user=ada")
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, http.StatusOK, r.StatusCode)
}

func TestRequestInProgressIsAnsweredAndSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backup := filepath.Join(t.TempDir(), "sessions.json")
		listener := make(pipes)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		s := settings{backup: backup, lifetime: time.Hour, every: time.Hour}
		go func() { served <- runOn(ctx, listener, s, quiet) }()
		conn := listener.dial()
		defer conn.Close()
		beginLogin(conn)
		synctest.Wait() // login waits for the form

		cancel()
		synctest.Wait() // the service waits for login
		endLogin(t, conn)
		require.NoError(t, <-served)
		text, err := os.ReadFile(backup)
		require.NoError(t, err)
		require.Contains(t, string(text), "ada")
	})
}

func TestRequestThatTakesTooLongIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		var endless http.HandlerFunc = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- serveHTTP(ctx, listener, endless, quiet) }()
		conn := listener.dial()
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait() // the handler runs

		cancel()
		start := time.Now()
		err := <-served
		require.ErrorContains(t, err, "requests cut off")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, shutdownTime, time.Since(start))
	})
}

func TestFailedAutomaticBackupIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		require.NoError(t, os.Mkdir(dir, 0o700))
		var log bytes.Buffer
		listener := make(pipes)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		s := settings{backup: filepath.Join(dir, "b.json"), lifetime: time.Hour, every: time.Second}
		go func() { served <- runOn(ctx, listener, s, slog.New(slog.NewTextHandler(&log, nil))) }()
		synctest.Wait()
		require.NoError(t, os.RemoveAll(dir))
		conn := listener.dial()
		defer conn.Close()
		fmt.Fprint(conn, "POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\nuser=ada")
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Contains(t, string(answer), "500 Internal Server Error", "a login that cannot be saved is not answered")
		time.Sleep(2500 * time.Millisecond)
		cancel()
		require.ErrorIs(t, <-served, os.ErrNotExist, "the last backup failed as well")
		require.Equal(t, 4, strings.Count(log.String(), `level=ERROR msg="genie: save"`), "the login, two automatic backups, the last: %s", log.String())
	})
}

func TestServiceThatCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	backup := filepath.Join(t.TempDir(), "sessions.json")
	s := settings{listen: taken.Addr().String(), backup: backup, lifetime: time.Hour, every: time.Hour}

	require.NoError(t, os.WriteFile(backup, []byte("sessions"), 0o600))
	require.ErrorIs(t, run(t.Context(), s, quiet), genie.ErrCorrupt)

	require.NoError(t, os.WriteFile(backup, []byte(`{"key":"value"}`), 0o600))
	var failed *net.OpError
	require.ErrorAs(t, run(t.Context(), s, quiet), &failed)
	require.Equal(t, "listen", failed.Op)
	requireRefilled(t, backup)

	s.listen, s.debug = "127.0.0.1:0", taken.Addr().String()
	require.ErrorAs(t, run(t.Context(), s, quiet), &failed)
	require.Equal(t, taken.Addr().String(), failed.Addr.String())
	requireRefilled(t, backup)
}

// requireRefilled requires the contents from before the load, which has emptied the file.
func requireRefilled(t *testing.T, backup string) {
	t.Helper()
	text, err := os.ReadFile(backup)
	require.NoError(t, err)
	require.JSONEq(t, `{"key":"value"}`, string(text))
}

// ended returns the error of f. If f takes too long, the test fails and shows all
// goroutines.
func ended(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error, 1) // f may return after the test has failed
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 2)
		require.Fail(t, "still running", stacks.String())
		return nil
	}
}

func TestServiceIsStoppedAtOnce(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // a late goroutine runs after the stop
	backup := filepath.Join(t.TempDir(), "sessions.json")
	require.NoError(t, os.WriteFile(backup, []byte(`{"key":"value"}`), 0o600))
	s := settings{listen: "127.0.0.1:0", debug: "127.0.0.1:0", backup: backup, lifetime: time.Hour, every: time.Hour}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		require.NoError(t, ended(t, func() error { return run(stopped, s, quiet) }))
		requireRefilled(t, backup)
	}
}

// A broken listener accepts no connection.
type broken struct{ pipes }

var errBroken = errors.New("broken listener")

func (broken) Accept() (net.Conn, error) { return nil, errBroken }

func TestListenerFailsAtOnce(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := settings{backup: filepath.Join(t.TempDir(), "sessions.json"), lifetime: time.Hour, every: time.Hour}
	for range 20 {
		err := ended(t, func() error { return runOn(t.Context(), broken{make(pipes)}, s, quiet) })
		require.ErrorIs(t, err, errBroken)
	}
}

// A failing listener fails after its channel is closed.
type failing struct{ pipes }

func (f failing) Accept() (net.Conn, error) {
	if conn, ok := <-f.pipes; ok {
		return conn, nil
	}
	return nil, errBroken
}

func (failing) Close() error { return nil }

func TestListenerFailsDuringARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := failing{make(pipes)}
		s := settings{backup: filepath.Join(t.TempDir(), "sessions.json"), lifetime: time.Hour, every: time.Hour}
		served := make(chan error)
		go func() { served <- runOn(t.Context(), listener, s, quiet) }()
		conn := listener.dial()
		defer conn.Close()
		beginLogin(conn)
		synctest.Wait() // login waits for the form
		close(listener.pipes)
		synctest.Wait() // the service waits for login
		endLogin(t, conn)
		require.ErrorIs(t, <-served, errBroken)
		text, err := os.ReadFile(s.backup)
		require.NoError(t, err)
		require.Contains(t, string(text), "ada")
	})
}

func TestConnectionWithoutARequestDelaysNoStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- serveHTTP(ctx, listener, http.NotFoundHandler(), quiet) }()
		conn := listener.dial()
		defer conn.Close()
		synctest.Wait()
		cancel()
		start := time.Now()
		require.NoError(t, <-served)
		require.Less(t, time.Since(start), shutdownTime)
	})
}

func TestSlowHandlerIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		returned := false
		var slow http.HandlerFunc = func(http.ResponseWriter, *http.Request) {
			time.Sleep(2 * shutdownTime)
			returned = true
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- serveHTTP(ctx, listener, slow, quiet) }()
		conn := listener.dial()
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait()
		cancel()
		require.ErrorContains(t, <-served, "requests cut off")
		require.True(t, returned, "a handler that still runs could write after the last backup")
	})
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
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

// pipes is a listener without a network, for a bubble.
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

func TestRequestInProgressIsAnsweredAndSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backup := filepath.Join(t.TempDir(), "sessions.json")
		listener := make(pipes)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		s := settings{backup: backup, lifetime: time.Hour, every: time.Hour}
		go func() { served <- serve(ctx, listener, s, quiet) }()
		conn := listener.dial()
		defer conn.Close()
		fmt.Fprint(conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\n\r\n")
		synctest.Wait() // login waits for the form

		cancel()
		synctest.Wait() // serve waits for login
		fmt.Fprint(conn, "user=ada")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, http.StatusOK, r.StatusCode)
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
		synctest.Wait() // it is being answered

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
		go func() { served <- serve(ctx, listener, s, slog.New(slog.NewTextHandler(&log, nil))) }()
		synctest.Wait()
		require.NoError(t, os.Remove(dir))
		time.Sleep(2500 * time.Millisecond)
		cancel()
		require.ErrorIs(t, <-served, os.ErrNotExist, "the last backup failed as well")
		require.Equal(t, 2, strings.Count(log.String(), `msg="automatic backup"`), log.String())
	})
}

func TestServiceThatCannotStart(t *testing.T) {
	corrupt := filepath.Join(t.TempDir(), "sessions.json")
	require.NoError(t, os.WriteFile(corrupt, []byte("sessions"), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, serve(t.Context(), listener, settings{backup: corrupt}, quiet), genie.ErrCorrupt)
	_, err = listener.Accept()
	require.ErrorIs(t, err, net.ErrClosed)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	full := filepath.Join(t.TempDir(), "sessions.json")
	require.NoError(t, os.WriteFile(full, []byte(`{"key":"value"}`), 0o600))
	require.Error(t, run(t.Context(), settings{listen: taken.Addr().String(), backup: full}, quiet))
	text, err := os.ReadFile(full)
	require.NoError(t, err)
	require.NotEmpty(t, text, "whoever serves there owns the file")
}

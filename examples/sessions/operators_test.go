package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie"
)

// local returns a listener on a free port.
func local(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listener
}

// startWithOperators starts a service with both addresses, which ends with the test.
func startWithOperators(t *testing.T) (public, operators string, stop func()) {
	t.Helper()
	on := listeners{local(t), local(t)}
	s := settings{backup: filepath.Join(t.TempDir(), "sessions.json"), every: time.Minute}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1) // the test may fail before it calls stop
	go func() {
		served <- withStore(ctx, s, quiet, func(store *genie.Store) error {
			return serve(ctx, on, sessions{store, time.Hour}, quiet)
		})
		close(served)
	}()
	stop = func() { cancel(); require.NoError(t, <-served) }
	t.Cleanup(stop)
	return "http://" + on.public.Addr().String(), "http://" + on.operators.Addr().String(), stop
}

func TestOperatorsHaveAnAddressOfTheirOwn(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	public, operators, stop := startWithOperators(t)
	b := newBrowser(t)
	b.login(public, "ada")
	for _, path := range []string{pagePath, metricsPath} {
		code, _ := b.answer(b.Get(public + path))
		require.Equal(t, http.StatusNotFound, code, "public: %s", path)
		code, body := b.answer(b.Get(operators + path))
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, body, "ntries")
	}
	code, _ := b.answer(b.Get(operators + "/backup"))
	require.Equal(t, http.StatusNotFound, code)
	b.CloseIdleConnections()
	stop() // no sampler, server or connection is left
}

func TestOperatorsSeeNoKeysAndNoValues(t *testing.T) {
	public, operators, _ := startWithOperators(t)
	b := newBrowser(t)
	b.login(public, "ada-of-the-test")
	token := b.Jar.Cookies(b.at(public))[0].Value
	_, backup := b.answer(b.Get(public + "/backup"))
	require.Contains(t, backup, "ada-of-the-test")
	require.Contains(t, backup, keyOf(token), "the loop below looks for what is not there anyway")
	for _, path := range []string{pagePath, metricsPath} {
		_, body := b.answer(b.Get(operators + path))
		for _, secret := range []string{"ada-of-the-test", token, keyOf(token)} {
			require.NotContains(t, body, secret)
		}
	}
}

// The samples begin with the service and end with it.
func TestServiceIsSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		operators := make(pipes)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		s := newSessions(t)
		go func() { served <- serve(ctx, listeners{make(pipes), operators}, s, quiet) }()
		time.Sleep(3*sampleInterval + sampleInterval/2)
		conn := operators.dial()
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", pagePath)
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Contains(t, string(answer), "Samples: 4, one each 1s.")
		cancel()
		require.NoError(t, <-served)
	})
}

// The service does not go on without one of its addresses.
func TestServiceEndsWithAListener(t *testing.T) {
	for name, fail := range map[string]func(*listeners){
		"public":    func(on *listeners) { on.public = broken{make(pipes)} },
		"operators": func(on *listeners) { on.operators = broken{make(pipes)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				on := listeners{make(pipes), make(pipes)}
				fail(&on)
				require.ErrorIs(t, serve(t.Context(), on, newSessions(t), quiet), errBroken)
			})
		})
	}
}

//go:build unix

package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The command itself hears signals, here while a service does not answer.
func TestInterruptedCommand(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		asked := make(chan struct{})
		ask := sync.OnceFunc(func() { close(asked) }) // the child may ask more than once
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ask()
			<-r.Context().Done()
		}))
		t.Cleanup(server.Close)
		child := asMain(t, "list", s3At(t, strings.TrimPrefix(server.URL, "http://")))
		var output, messages bytes.Buffer
		child.Stdout, child.Stderr = &output, &messages
		require.NoError(t, child.Start())
		ended := make(chan error, 1)
		go func() { ended <- child.Wait() }()
		select {
		case <-asked:
		case err := <-ended:
			require.FailNow(t, "the child has ended without a request", "%v: %s", err, messages.String())
		}
		require.NoError(t, child.Process.Signal(signal))
		<-ended // its exit code says it
		require.Equal(t, result{exitInterrupted, "", "geniebackup: interrupted\n"}, result{child.ProcessState.ExitCode(), output.String(), messages.String()})
	}
}

// deaf hears one signal and goes on with other work, as main does while it writes a file.
func deaf() {
	ctx, stop := withSignals(context.Background())
	defer stop()
	_, _ = os.Stdout.WriteString("ready")
	<-ctx.Done()
	time.Sleep(time.Hour)
}

// A second signal ends the process whatever it does.
func TestSecondSignal(t *testing.T) {
	child := asMain(t)
	child.Env = append(child.Env, "GENIE_TEST_DEAF=1")
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	_, err = output.Read(make([]byte, 1))
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for limit := time.After(3 * time.Minute); ; {
		_ = child.Process.Signal(os.Interrupt) // it may have ended
		select {
		case <-ended:
			status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
			require.True(t, ok)
			require.True(t, status.Signaled())
			return
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			t.Fatal("the process does not end")
		}
	}
}

func init() {
	if os.Getenv("GENIE_TEST_DEAF") != "" {
		deaf()
		os.Exit(0)
	}
}

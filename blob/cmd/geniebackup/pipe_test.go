//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// closedPipe returns a pipe whose reader has ended.
func closedPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

// A result that has no reader is one that could not be printed, and no signal ends the command.
func TestClosedPipes(t *testing.T) {
	folder, _ := bucketWith(t, `{"a":"1"}`)
	restored := filepath.Join(t.TempDir(), "restored.json")
	child := asMain(t, "restore", folder, restored)
	child.Stdout = closedPipe(t)
	_ = child.Run() // its exit code says it
	require.Equal(t, exitFailed, child.ProcessState.ExitCode())
	require.JSONEq(t, `{"a":"1"}`, contentsOf(t, restored))

	child = asMain(t, "list", filepath.Join(folder, "none"))
	child.Stderr = closedPipe(t)
	_ = child.Run()
	require.Equal(t, exitFailed, child.ProcessState.ExitCode())
}

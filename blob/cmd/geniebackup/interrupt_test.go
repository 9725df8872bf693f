package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// A signal ends the context.
func TestASignal(t *testing.T) {
	folder, names := bucketWith(t, `{"a":"1"}`)
	file := fileWith(t, `{"a":"2"}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"copy", file, folder}, {"list", folder}, {"verify", folder}, {"restore", "-replace", folder, file}} {
		var output, messages bytes.Buffer
		code := run(ctx, args, &output, &messages)
		require.Equal(t, result{exitInterrupted, "", "geniebackup: interrupted\n"}, result{code, output.String(), messages.String()}, args[0])
	}
	require.Equal(t, `{"a":"2"}`, contentsOf(t, file))
	require.Equal(t, 1, strings.Count(geniebackup(t, "list", folder).output, names[0]))
	require.Equal(t, 1, strings.Count(geniebackup(t, "list", folder).output, "\n"))
}

// A failure before the signal is told as it is.
func TestNoSignal(t *testing.T) {
	got := geniebackup(t, "list", filepath.Join(t.TempDir(), "none"))
	require.Equal(t, exitFailed, got.code)
	require.NotContains(t, got.messages, "interrupted")
}

// Work that does not look at the context, as the reading of a file, is not waited for.
func TestUnlessEnded(t *testing.T) {
	never := make(chan int)
	t.Cleanup(func() { close(never) })
	ctx, cancel := context.WithCancel(t.Context())
	_, err := unlessEnded(ctx, func() (int, error) {
		cancel()
		return <-never, nil
	})
	require.ErrorIs(t, err, context.Canceled)

	fault := errors.New("fault")
	value, err := unlessEnded(t.Context(), func() (int, error) { return 7, fault })
	require.Equal(t, 7, value)
	require.ErrorIs(t, err, fault)
}

// A signal before a file is saved leaves it as it was, and makes none.
func TestSaveIsInterrupted(t *testing.T) {
	store, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	store.Set("a", "new")
	c := &command{replace: true}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	none := filepath.Join(t.TempDir(), "none.json")
	require.ErrorIs(t, c.save(ctx, store, none), context.Canceled)
	require.NoFileExists(t, none)
	file := fileWith(t, `{"a":"old"}`)
	require.ErrorIs(t, c.save(ctx, store, file), context.Canceled)
	require.Equal(t, `{"a":"old"}`, contentsOf(t, file))
	require.NoError(t, c.save(t.Context(), store, file))
	require.JSONEq(t, `{"a":"new"}`, contentsOf(t, file))
}

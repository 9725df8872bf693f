package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryRunIsCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "minimal.json")
	for range 3 {
		require.NoError(t, run(path))
	}
	backup, err := os.ReadFile(path)
	require.NoError(t, err)
	require.JSONEq(t, `{"runs":"3"}`, string(backup))
}

func TestErrorsAreReturned(t *testing.T) {
	require.ErrorIs(t, run(filepath.Join(t.TempDir(), "none", "minimal.json")), os.ErrNotExist)
	path := filepath.Join(t.TempDir(), "minimal.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"runs":3}`), 0o600))
	require.ErrorIs(t, run(path), genie.ErrCorrupt)
}

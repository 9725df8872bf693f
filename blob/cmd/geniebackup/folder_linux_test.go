package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/blob/internal/nobody"
)

// A folder whose names may not be read, and whose files may, is not one without copies.
func TestAFolderThatMayNotBeRead(t *testing.T) {
	parent := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(parent), 0o755)) // so that any user finds the bucket
	require.NoError(t, os.Chmod(parent, 0o755))
	folder, file := filepath.Join(parent, "bucket"), fileWith(t, `{"a":"1"}`)
	require.NoError(t, os.Mkdir(folder, 0o755))
	require.Equal(t, exitDone, geniebackup(t, "copy", "-prefix", "app/host", file, folder).code)
	require.NoError(t, os.Chmod(filepath.Join(folder, "app"), 0o755))
	host := filepath.Join(folder, "app", "host")
	restored := filepath.Join(t.TempDir(), "restored.json")
	require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(restored)), 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(restored), 0o777))
	t.Cleanup(func() { require.NoError(t, os.Chmod(host, 0o755)) })
	t.Chdir(parent)
	as := func(mode os.FileMode, args ...string) (got result) {
		require.NoError(t, os.Chmod(host, mode))
		nobody.Run(t, func() { got = geniebackup(t, args...) })
		return got
	}
	for _, where := range []string{folder, "bucket", "file://" + folder, "file://./bucket"} {
		require.Equal(t, exitDone, as(0o755, "list", "-prefix", "app/host", where).code, "names that may be read")
		for _, args := range [][]string{{"list", "-prefix", "app/host", where}, {"verify", "-prefix", "app/host", where}, {"restore", "-prefix", "app/host", where, restored}} {
			got := as(0o311, args...)
			require.Equal(t, exitDenied, got.code, "%v: %s", args, got.messages)
			require.Contains(t, got.messages, "read the folder: ")
			require.Empty(t, got.output)
		}
	}
	got := geniebackup(t, "list", "-prefix", "app/other", folder)
	require.Equal(t, exitNoCopy, got.code, got.messages)
	require.NoFileExists(t, restored)
}

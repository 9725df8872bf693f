package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A link to a folder is the folder, in each way to write it. A link that is the folder of the prefix is an
// error: the driver would list nothing behind it.
func TestLinks(t *testing.T) {
	folder, names := bucketWith(t, `{"a":"1"}`)
	parent := t.TempDir()
	t.Chdir(parent)
	require.NoError(t, os.Symlink(folder, "link"))
	require.NoError(t, os.Symlink("link", "relative"))
	for _, link := range []string{"link", "relative"} {
		path := filepath.ToSlash(filepath.Join(parent, link))
		for _, where := range []string{link, link + "/", path, "file://" + path, "file://./" + link, "file://./" + link + "?create_dir=1"} {
			got := geniebackup(t, "list", where)
			require.Equal(t, exitDone, got.code, "%s: %s", where, got.messages)
			require.Contains(t, got.output, names[0])
		}
	}
	require.Equal(t, exitNoCopy, geniebackup(t, "list", "file://./none?create_dir=1").code)
	require.DirExists(t, "none")

	require.NoError(t, os.Symlink(folder, filepath.Join("none", "host")))
	for _, args := range [][]string{{"copy", "-prefix", "host", fileWith(t, "{}"), "none"}, {"list", "-prefix", "host", "none"}} {
		got := geniebackup(t, args...)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.messages, "symbolic link")
	}
}

//go:build unix && !aix && (!solaris || illumos)

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A restore over the file of a running program asks the bucket for nothing: here there is none.
func TestInUseIsSaidFirst(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	file, link := fileWith(t, `{"a":"1"}`), filepath.Join(t.TempDir(), "link.json")
	require.NoError(t, os.Symlink(file, link))
	require.NoError(t, checkInUse(file), "it never had an owner")
	owner, end := owned(t, file)
	for _, name := range []string{file, link} {
		got := geniebackup(t, "restore", "-replace", missing, name)
		require.Equal(t, exitFailed, got.code)
		require.Equal(t, fmt.Sprintf("geniebackup: %s is in use by process %d, which must end first\n", file, owner.Pid), got.messages)
	}
	end()
	require.NoError(t, checkInUse(file), "its owner has ended")
	require.NoError(t, checkInUse(link))
}

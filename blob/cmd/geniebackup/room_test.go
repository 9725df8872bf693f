//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// The disk has no room for the new entries. The message says where the old ones are, and a start finds them.
func TestNoRoomForARestore(t *testing.T) {
	folder, file := t.TempDir(), fileWith(t, `{"a":"old"}`)
	large := fileWith(t, `{"new":"`+strings.Repeat("x", 1<<20)+`"}`)
	require.Equal(t, exitDone, geniebackup(t, "copy", large, folder).code)
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command("sh", "-c", `ulimit -f 100 && exec "$0" "$@"`, self, "restore", "-replace", folder, file)
	child.Env = append(os.Environ(), "GENIE_TEST_MAIN=1")
	var messages bytes.Buffer
	child.Stderr = &messages
	_ = child.Run() // its exit code says it
	require.Equal(t, exitFailed, child.ProcessState.ExitCode(), messages.String())
	require.Contains(t, messages.String(), "the entries are as they were, in "+file+".loaded")
	store, err := genie.NewStore(genie.WithPath(file))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "old"}, store.Snapshot())
	require.NoError(t, store.Close())
}

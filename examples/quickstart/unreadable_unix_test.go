//go:build unix

package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// runUnprivileged runs the program as a user whom permissions bind: root may
// read everything.
func runUnprivileged(t *testing.T, backup, folder string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(), "-backup", backup, folder)
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	err := cmd.Start()
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("the folder of temporary files is not open to other users")
	}
	require.NoError(t, err)
	return finish(t, cmd)
}

func TestUnreadableKeepsItsLastState(t *testing.T) {
	top, err := os.MkdirTemp(scratch, "")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(top, 0o777))
	tr := tree{t, filepath.Join(top, "tree")}
	for _, name := range []string{"file", "dir/inside", "dir/sub/deep", "other"} {
		tr.write(name, "1")
	}

	backup := filepath.Join(top, "backup.json")
	requireNews(t, runUnprivileged(t, backup, tr.folder),
		[]string{"dir/inside", "dir/sub/deep", "file", "other"}, nil, nil)

	tr.write("file", "2")
	tr.write("unknown", "1")
	tr.remove("other")
	require.NoError(t, os.Chmod(tr.path("file"), 0))
	require.NoError(t, os.Chmod(tr.path("unknown"), 0))
	require.NoError(t, os.Chmod(tr.path("dir"), 0))
	o := runUnprivileged(t, backup, tr.folder)
	requireNews(t, o, nil, nil, []string{"other"})
	require.Equal(t, []string{"dir: permission denied", "file: permission denied", "unknown: permission denied"},
		o.listed("cannot be read, left as last seen"))

	require.NoError(t, os.Chmod(tr.path("file"), 0o644))
	require.NoError(t, os.Chmod(tr.path("dir"), 0o755))
	requireNews(t, runUnprivileged(t, backup, tr.folder), nil, []string{"file"}, nil)
}

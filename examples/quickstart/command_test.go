package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program returns the path of the program as a user has it. It is built once, and
// anybody may execute it.
var program = sync.OnceValue(func() string {
	file := filepath.Join(scratch, "quickstart.exe") // the suffix is for Windows
	build := exec.Command("go", "build", "-o", file, ".")
	build.Env = environment // or else the go command would start with empty caches
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return file
})

// finish waits for a started command and returns what it has left.
func finish(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	err := cmd.Wait()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return outcome{
		code:   cmd.ProcessState.ExitCode(),
		stdout: cmd.Stdout.(*bytes.Buffer).String(),
		stderr: cmd.Stderr.(*bytes.Buffer).String(),
	}
}

func start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(), args...)
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	require.NoError(t, cmd.Start())
	return cmd
}

func TestCommandTwiceOverAChangingTree(t *testing.T) {
	tr := newTree(t, map[string]string{"a.txt": "1", "dir/b.txt": "1", "dir/gone.txt": "1"})

	o := finish(t, start(t, tr.folder))
	requireNews(t, o, []string{"a.txt", "dir/b.txt", "dir/gone.txt"}, nil, nil)
	require.Contains(t, o.stdout, "read 3 files, 3 B, in ")
	require.Contains(t, o.stdout, "    entries: 4, ")

	tr.write("dir/b.txt", "22")
	tr.remove("dir/gone.txt")
	for i := range 25 {
		tr.write("many/"+strings.Repeat("x", i+1), "")
	}
	o = finish(t, start(t, tr.folder))
	require.Zero(t, o.code, o.stderr)
	require.Equal(t, []string{"dir/b.txt"}, o.listed("changed"))
	require.Equal(t, []string{"dir/gone.txt"}, o.listed("gone"))
	added := o.listed("new")
	require.Len(t, added, 21)
	require.Equal(t, "many/x", added[0])
	require.Equal(t, "… and 5 more (-v names them all)", added[20])
	require.Empty(t, o.stderr)

	tr.remove("many")
	o = finish(t, start(t, "-v", tr.folder))
	require.Len(t, o.listed("gone"), 25)

	home, err := os.UserHomeDir()
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(home, ".kvstore_backup.json"))
}

// startBusy starts a run that has recorded the file "a", is reading a file
// without end, and has been through an automatic backup since.
func startBusy(t *testing.T, tr tree, backup string) *exec.Cmd {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no signals, and no files with holes")
	}
	tr.write("a", "1")
	tr.write("endless", "")
	require.NoError(t, os.Truncate(tr.path("endless"), 1<<40))
	cmd := start(t, "-backup", backup, tr.folder)
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(backup)
		return bytes.Contains(text, []byte(`"file:a"`))
	}, 20*time.Second, 10*time.Millisecond)
	return cmd
}

func TestCtrlCEndsInOrder(t *testing.T) {
	tr := newTree(t, nil)
	backup := filepath.Join(t.TempDir(), "state.json")
	cmd := startBusy(t, tr, backup)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	o := finish(t, cmd)
	require.Contains(t, o.stdout, "interrupted: ")
	requireNews(t, o, []string{"a"}, nil, nil)
	require.NotContains(t, o.stdout, "endless", "it can be read, given time")

	tr.remove("endless")
	requireNews(t, runHere(t.Context(), "-backup", backup, tr.folder), nil, nil, nil)
}

func TestKilledRunLeavesItsNewsUnreported(t *testing.T) {
	tr := newTree(t, nil)
	backup := filepath.Join(t.TempDir(), "state.json")
	cmd := startBusy(t, tr, backup)
	require.NoError(t, cmd.Process.Kill())
	require.Empty(t, finish(t, cmd).stdout)

	tr.remove("endless")
	requireNews(t, runHere(t.Context(), "-backup", backup, tr.folder), []string{"a"}, nil, nil)
	requireNews(t, runHere(t.Context(), "-backup", backup, tr.folder), nil, nil, nil)
}

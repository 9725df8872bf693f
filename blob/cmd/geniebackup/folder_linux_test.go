package main

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// asNobody runs fn without the rights of root over files, on a thread of its own that ends
// with it. A user who is not root runs fn with rights that are no more than that.
func asNobody(t *testing.T, fn func()) {
	t.Helper()
	done, taken := make(chan struct{}), false
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread must not be used again
		const nobody = 65534
		syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		now, _, _ := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		if taken = now == nobody || os.Geteuid() != 0; taken {
			fn()
		}
	}()
	<-done
	if !taken {
		t.Skip("this root has no right to act as another user")
	}
}

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
		asNobody(t, func() { got = geniebackup(t, args...) })
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

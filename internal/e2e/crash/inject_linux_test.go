package crash_test

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cycleUnder runs a child on a path while strace injects a failure, from NewStore
// on. It returns the lines of the child and the log of strace.
func cycleUnder(t *testing.T, path, wait, umask, kind, inject string, files ...string) (lines []string, log string) {
	t.Helper()
	c := spawn(t, "cycle", path, wait, umask)
	c.expect("READY")
	text := attach(t, c, kind, inject, files...)
	c.letGo() // NewStore
	c.letGo() // the two saves
	lines = c.end()
	return lines, text()
}

// If the lock fails with an unknown error, NewStore fails and no file changes. After
// a signal the lock is tried again. On a file system without locks the store works,
// and removes no temporary file: its writer may be alive.
func TestLocksThatFail(t *testing.T) {
	needStrace(t)
	t.Parallel()
	succeeded := []string{"LOADED 7", "ACK 8", "ACK 9", "DONE"}
	for _, tt := range []struct {
		inject string
		fails  string // with this text, or ""
		swept  bool
	}{
		{"error=EBADF", "bad file descriptor", false},
		{"error=ENOLCK", "no locks available", false},
		{"error=EIO", "input/output error", false},
		{"error=EINTR:when=1", "", true},
		{"error=EINTR:when=1..50", "", true},
		{"error=EOPNOTSUPP", "", false},
		{"error=ENOSYS", "", false},
	} {
		t.Run(tt.inject, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b")
			writeGeneration(t, path, 7)
			stale := filepath.Join(filepath.Dir(path), staleTemp)
			require.NoError(t, os.WriteFile(stale, nil, 0o600))
			before := contentsOf(t, filepath.Dir(path))
			lines, log := cycleUnder(t, path, "50ms", "22", "flock", tt.inject)
			require.Contains(t, log, "(INJECTED)")
			if tt.fails == "" {
				require.Equal(t, succeeded, lines)
			} else {
				require.Len(t, lines, 1)
				require.Regexp(t, "^ERROR .*"+tt.fails, lines[0])
				require.Equal(t, before, contentsOf(t, filepath.Dir(path)))
			}
			_, err := os.Stat(stale)
			require.Equal(t, tt.swept, os.IsNotExist(err), "%v", err)
		})
	}
}

// If another program has a lease on a file, NewStore waits. If the program keeps the
// lease, NewStore fails.
func TestLeases(t *testing.T) {
	needStrace(t)
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		leave      func(t *testing.T, path string)
	}{
		{"the backup", "b", places[0].leave},
		{"the hand-over file", "b.loaded", places[1].leave},
		{"the lock's file", "b.lock", func(t *testing.T, path string) { writeGeneration(t, path, 7) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b")
			only := filepath.Join(filepath.Dir(path), tt.file)
			tt.leave(t, path)
			lines, log := cycleUnder(t, path, patience, "22", "openat", "error=EAGAIN:when=1..3", only)
			require.Equal(t, 3, strings.Count(log, "(INJECTED)"), log)
			require.Equal(t, []string{"LOADED 7", "ACK 8", "ACK 9", "DONE"}, lines)

			tt.leave(t, path)
			lines, log = cycleUnder(t, path, "50ms", "22", "openat", "error=EAGAIN", only)
			require.Contains(t, log, "(INJECTED)")
			require.Len(t, lines, 1)
			require.Regexp(t, "^ERROR .*resource temporarily unavailable", lines[0])
			spawn(t, "hold", path, patience).expectLoad(7, 7)
		})
	}
}

// The test itself has the lease, and the kernel asks for it.
func TestARealLease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	broken := make(chan os.Signal, 1) // signal.Notify does not wait for a receiver
	signal.Notify(broken, syscall.SIGIO)
	defer signal.Stop(broken)
	leased, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer leased.Close()
	if err := setLease(leased, syscall.F_WRLCK); err != nil {
		t.Skipf("lease: %v", err)
	}
	c := spawn(t, "hold", path, patience)
	c.expect("READY")
	select {
	case <-broken:
	case <-time.After(soon):
		require.Fail(t, "no request to give the lease up")
	}
	require.NoError(t, setLease(leased, syscall.F_UNLCK))
	c.expectLoaded(7, 7)
}

func setLease(file *os.File, kind int) error {
	_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), syscall.F_SETLEASE, uintptr(kind))
	if errno != 0 {
		return errno
	}
	return nil
}

// Some file systems have no modes and refuse to change them.
func TestModesThatCannotBeChanged(t *testing.T) {
	needStrace(t)
	t.Parallel()
	for _, errno := range []string{"EPERM", "EOPNOTSUPP", "ENOSYS"} {
		t.Run(errno, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b")
			writeGeneration(t, path, 7)
			lines, log := cycleUnder(t, path, patience, "277", "fchmod", "error="+errno)
			require.Contains(t, log, "(INJECTED)")
			require.Equal(t, []string{"LOADED 7", "ACK 8", "ACK 9", "DONE"}, lines)
		})
	}
}

// The Close of the predecessor hangs in an fsync. A process that waits loads the
// last write. A process that does not wait is refused. A reader gets the old backup.
func TestASuccessorWaitsForASlowClose(t *testing.T) {
	needStrace(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 1)
	for range sample(1, 10) {
		old := spawn(t, "serve", path, patience, "1h")
		old.expect("READY")
		old.expect("LOADED")
		log := attach(t, old, "fsync", "delay_enter=300ms")
		next := spawn(t, "hold", path, patience)
		next.expect("READY")
		began := time.Now()
		require.NoError(t, old.cmd.Process.Signal(syscall.SIGTERM))
		spawn(t, "hold", path, "100ms").expectInUse(old.pid())
		_, err := look(path)
		require.NoError(t, err, "the old backup is there to be read")
		lines := old.end()
		require.Len(t, lines, 1)
		closed, ok := numbersAfter("CLOSED", lines[0])
		require.True(t, ok, lines)
		next.expectLoaded(int(closed[0]), int(closed[0]))
		require.Greater(t, time.Since(began), 600*time.Millisecond, "the file and its folder are synced")
		require.Equal(t, 2, strings.Count(log(), "(DELAYED)"))
		next.kill()
	}
}

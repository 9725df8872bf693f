package crash_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// The two places of the data that a reader finds: the backup, and the hand-over
// file that a killed process has left.
var places = []struct {
	name  string
	leave func(t *testing.T, path string) // leaves generation 7, and no lock's file
}{
	{"the backup", func(t *testing.T, path string) {
		writeGeneration(t, path, 7)
		require.NoError(t, os.Remove(path+".lock"))
	}},
	{"the hand-over file", func(t *testing.T, path string) {
		writeGeneration(t, path, 7)
		c := spawn(t, "hold", path)
		c.expectLoad(7, 7)
		c.kill()
		require.NoError(t, os.Remove(path+".lock"))
	}},
}

func TestReadingFromAReadOnlyFileSystem(t *testing.T) {
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			dir := mount(t, "size=4m")
			path := filepath.Join(dir, "b")
			place.leave(t, path)
			before := contentsOf(t, dir)
			remount(t, dir)

			store, err := genie.NewStore(genie.WithPath(path), genie.WithReadOnly())
			require.NoError(t, err)
			n, err := whole(store.Snapshot())
			require.NoError(t, err)
			require.Equal(t, 7, n)
			stamp(store, 8)
			require.ErrorIs(t, store.Backup(), genie.ErrReadOnly)
			require.NoError(t, store.Close())

			_, err = genie.NewStore(genie.WithPath(path))
			require.ErrorIs(t, err, syscall.EROFS, "an owner must be able to write")
			require.Equal(t, before, contentsOf(t, dir))
		})
	}
}

// remount makes the file system at dir read-only.
func remount(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("remount: %v", err)
	}
}

func TestReadingAsAnotherUser(t *testing.T) {
	needRoot(t)
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			dir := publicFolder(t)
			path := filepath.Join(dir, "b")
			place.leave(t, path)
			require.Contains(t, runReader(t, nobody, path)[0], "permission denied", "backups are private")

			for name := range contentsOf(t, dir) {
				require.NoError(t, os.Chmod(filepath.Join(dir, name), 0o644))
			}
			before := contentsOf(t, dir)
			requireRead(t, nobody, path, 7)
			require.Contains(t, spawnAs(t, nobody, "hold", path).expectFailure(), "permission denied")
			require.Equal(t, before, contentsOf(t, dir))
			require.NotContains(t, before, "b.lock")
		})
	}
}

// A reader has found the backup file empty, and opens the hand-over file late: the
// first backup of the owner has removed that file meanwhile. The reader begins
// again and gets the backup, not an empty store.
func TestAReadThatABackupOvertakes(t *testing.T) {
	needStrace(t)
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	owner := newStore(t, path)
	c := spawn(t, "read", path, "5")
	c.expect("READY")
	attach(t, c, "openat", "delay_enter=500ms", path+".loaded")
	opened := watch(t, path, syscall.IN_OPEN)
	c.letGo()
	opened()
	stamp(owner, 8)
	require.NoError(t, owner.Backup())
	lines := c.end()
	seen := sightings("READ", lines)
	require.Len(t, seen, 5, lines)
	for _, s := range seen {
		require.Equal(t, 8, s.generation)
	}
	require.NoError(t, owner.Close())
}

// watch returns a function that waits until something of this kind happens to the
// file name.
func watch(t *testing.T, name string, kind uint32) (wait func()) {
	t.Helper()
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	require.NoError(t, err)
	events := os.NewFile(uintptr(fd), "inotify")
	t.Cleanup(func() { events.Close() })
	_, err = syscall.InotifyAddWatch(fd, name, kind)
	require.NoError(t, err)
	return func() {
		t.Helper()
		require.NoError(t, events.SetReadDeadline(time.Now().Add(soon)))
		_, err := events.Read(make([]byte, 4096))
		require.NoError(t, err)
	}
}

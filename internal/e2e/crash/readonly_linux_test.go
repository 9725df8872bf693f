package crash_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

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

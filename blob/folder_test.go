package blob

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	cloud "gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
)

// inFolder returns the copies under "app/host" in a folder.
func inFolder(t *testing.T, folder string, opts ...Option) *Copies {
	t.Helper()
	bucket, err := fileblob.OpenBucket(folder, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	require.NoError(t, err)
	return must(New(bucket, "app/host", opts...))
}

// Each object is durable when the next step begins: its name, and the names of the folders above it.
func TestFoldersAreSyncedUpToTheBucket(t *testing.T) {
	for name, options := range map[string]*fileblob.Options{
		"as advised":                         {NoTempDir: true, Metadata: fileblob.MetadataDontWrite},
		"files are moved from another place": {Metadata: fileblob.MetadataDontWrite},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			inner := cloud.PrefixedBucket(must(fileblob.OpenBucket(top, options)), "app/")
			for _, c := range []*Copies{
				must(New(must(fileblob.OpenBucket(top, options)), "app/host")),
				must(New(inner, "host")),
			} {
				var synced []string
				c.syncDir = func(path string) error {
					files := must(filepath.Glob(top + "/app/host/*.*"))
					require.NotContains(t, strings.Join(files, " "), temporary, "the file has its name")
					synced = append(synced, strings.TrimPrefix(path, top))
					return syncDir(path)
				}
				must(c.Copy(t.Context(), store(t, "new")))
				once := []string{"/app/host", "/app", ""}
				require.Equal(t, append(once, once...), synced, "the backup, and the seal")
			}
		})
	}
}

// The disk of a folder fails. Older copies stay.
func TestAFolderThatCannotBeSynced(t *testing.T) {
	for nth := range 6 {
		folder := t.TempDir()
		c := inFolder(t, folder, WithKeep(1, 0))
		old := must(c.Copy(t.Context(), store(t, "old")))
		count := 0
		c.syncDir = func(path string) error {
			if count++; count == nth+1 {
				return &fs.PathError{Op: "sync", Path: path, Err: syscall.EIO}
			}
			return nil
		}
		_, err := c.Copy(t.Context(), store(t, "new"))
		require.ErrorIs(t, err, syscall.EIO)
		require.NotErrorIs(t, err, ErrPrune)
		found := must(c.List(t.Context()))
		require.Equal(t, old, found[0])
		for _, copy := range found { // the copy whose seal could not be synced is whole
			require.NoError(t, c.Verify(t.Context(), copy))
		}
		require.Equal(t, nth >= 3, len(found) == 2)
	}
}

// Some file systems do not know how to sync a folder.
func TestAFileSystemThatDoesNotSyncFolders(t *testing.T) {
	for _, unable := range []error{syscall.EINVAL, syscall.ENOTSUP} {
		c := inFolder(t, t.TempDir())
		c.syncDir = func(path string) error { return &fs.PathError{Op: "sync", Path: path, Err: unable} }
		must(c.Copy(t.Context(), store(t, "new")))
	}
}

func TestSyncDirSaysWhatFails(t *testing.T) {
	require.NoError(t, syncDir(t.TempDir()))
	require.ErrorIs(t, syncDir(filepath.Join(t.TempDir(), "none")), fs.ErrNotExist)
}

// The path that the driver gives is that of the folder.
func TestThePathOfAFolder(t *testing.T) {
	top := t.TempDir()
	require.Equal(t, filepath.Join(top, "app", "host"), must(inFolder(t, top).folderPath(t.Context())))
	require.NoError(t, os.WriteFile(filepath.Join(top, "app"), nil, 0o600))
	_, err := inFolder(t, top).folderPath(t.Context())
	require.Error(t, err, "a file is in the place of the folder")
	require.False(t, errors.Is(err, fs.ErrNotExist))
}

// The disk breaks off in the middle of a folder. The driver lists what came before, which may be older
// copies alone, or nothing.
func TestAFolderThatBreaksOff(t *testing.T) {
	c := inFolder(t, t.TempDir())
	broken := func(path string) error { return &fs.PathError{Op: "readdirent", Path: path, Err: syscall.EIO} }
	for _, value := range []string{"nothing yet", "old"} {
		c.readDir = broken
		s := store(t, "as it was")
		_, err := c.Restore(t.Context(), s)
		require.ErrorIs(t, err, syscall.EIO)
		require.NotErrorIs(t, err, ErrNoCopy)
		require.Equal(t, "as it was", valueOf(s))
		_, err = c.Copy(t.Context(), s)
		require.ErrorIs(t, err, syscall.EIO)
		c.readDir = readDir
		must(c.Copy(t.Context(), store(t, value)))
	}
}

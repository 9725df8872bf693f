package blob

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// The driver writes and reads behind a symbolic link, and does not list that. Copies there would never be
// restored, and a restore would take it for a bucket without copies.
func TestAFolderThatIsALink(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, folder, real string) *Copies{
		"that of the bucket": func(t *testing.T, folder, real string) *Copies {
			require.NoError(t, os.Remove(folder))
			require.NoError(t, os.Symlink(real, folder))
			return must(New(must(fileblob.OpenBucket(folder, nil)), ""))
		},
		"that of the prefix": func(t *testing.T, folder, real string) *Copies {
			require.NoError(t, os.Mkdir(filepath.Join(folder, "app"), 0o700))
			require.NoError(t, os.Symlink(real, filepath.Join(folder, "app", "host")))
			return inFolder(t, folder)
		},
		"to nothing": func(t *testing.T, folder, real string) *Copies {
			require.NoError(t, os.Mkdir(filepath.Join(folder, "app"), 0o700))
			require.NoError(t, os.Symlink(filepath.Join(real, "none"), filepath.Join(folder, "app", "host")))
			return inFolder(t, folder)
		},
		"to nothing, above the prefix": func(t *testing.T, folder, real string) *Copies {
			require.NoError(t, os.Symlink(filepath.Join(real, "none"), filepath.Join(folder, "app")))
			return inFolder(t, folder)
		},
	} {
		t.Run(name, func(t *testing.T) {
			real := t.TempDir()
			c := make(t, t.TempDir(), real)
			_, err := c.Copy(t.Context(), store(t, "new"))
			require.ErrorContains(t, err, "symbolic link")
			_, err = c.Restore(t.Context(), store(t, ""))
			require.ErrorContains(t, err, "symbolic link")
			require.NotErrorIs(t, err, fs.ErrNotExist)
			require.Empty(t, must(os.ReadDir(real)), "nothing was written")
		})
	}
}

// A link above the folder of the prefix is followed.
func TestAFolderBehindALink(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(folder, "app")))
	c := inFolder(t, folder)
	made := must(c.Copy(t.Context(), store(t, "new")))
	require.Equal(t, made, must(c.Restore(t.Context(), store(t, ""))).Copy)
}

// Whatever keeps a copy out of the listing, it is not reported as made. Here a link is made meanwhile, or
// another prefix of the bucket is one that the driver of folders writes and does not list.
func TestACopyThatIsNotListed(t *testing.T) {
	folder, real := t.TempDir(), filepath.Join(t.TempDir(), "host")
	move := sync.OnceFunc(func() {
		host := filepath.Join(folder, "app", "host")
		require.NoError(t, os.Rename(host, real))
		require.NoError(t, os.Symlink(real, host))
	})
	_, err := inFolder(t, folder, WithProgress(func(p Progress) {
		if p.Action == ReadingBack && p.Bytes == p.Total {
			move()
		}
	})).Copy(t.Context(), store(t, "new"))
	require.ErrorContains(t, err, "symbolic link")
	require.NotErrorIs(t, err, ErrPrune)

	top := t.TempDir()
	bucket := cloud.PrefixedBucket(must(fileblob.OpenBucket(top, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})), "x../")
	_, err = must(New(bucket, "app")).Copy(t.Context(), store(t, "new"))
	require.ErrorIs(t, err, errUnlisted)
	require.Empty(t, must(filepath.Glob(top+"/*/*")), "it was taken back")

	b := newFaultyBucket()
	made := must(b.copies(t).Copy(t.Context(), store(t, "new")))
	require.NoError(t, b.copies(t).remove(t.Context(), sealOf(made), made.Name))
	require.NoError(t, b.copies(t).find(t.Context(), made), "another writer has removed it")
}

// The driver of folders writes the names of some prefixes in another way than it lists them.
func TestPrefixesOfFolders(t *testing.T) {
	for prefix, fits := range map[string]bool{
		"app..": false, "p../q": false, "...": false, "a\x01b": false, "a__0x2f__b": false, "app/x..": false,
		"app..x/y": true, "..app": true, "host.": true, "a b": true, "x.attrs": true, "é": true, "a__0b": true,
	} {
		t.Run(prefix, func(t *testing.T) {
			folder := t.TempDir()
			c := must(New(must(fileblob.OpenBucket(folder, nil)), prefix))
			made, err := c.Copy(t.Context(), store(t, "new"))
			restored, found := c.Restore(t.Context(), store(t, ""))
			if fits {
				require.NoError(t, err)
				require.Equal(t, made, restored.Copy)
				return
			}
			require.ErrorIs(t, err, fs.ErrInvalid)
			require.ErrorIs(t, found, fs.ErrInvalid)
			require.NotErrorIs(t, found, fs.ErrNotExist)
			require.Empty(t, must(os.ReadDir(folder)), "nothing was written")
		})
	}
}

// A disk is mounted after the Copies were made. Until then there is no answer.
func TestAFolderThatComesLate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "bucket")
	bucket := must(fileblob.OpenBucket(folder, &fileblob.Options{CreateDir: true, NoTempDir: true}))
	require.NoError(t, os.Remove(folder))
	c := must(New(bucket, "app"))
	_, err := c.Restore(t.Context(), store(t, ""))
	require.ErrorIs(t, err, errGone)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.Mkdir(folder, 0o700))
	c.readDir = func(path string) error { return &fs.PathError{Op: "readdirent", Path: path, Err: syscall.EIO} }
	_, err = c.Restore(t.Context(), store(t, ""))
	require.ErrorIs(t, err, syscall.EIO)
}

// anyError is a bucket that takes each error for its own, as the driver of S3 does.
type anyError struct{ *faultyBucket }

func (anyError) ErrorAs(err error, target any) bool { return errors.As(err, target) }

func TestServicesAreNoFolders(t *testing.T) {
	b := newFaultyBucket()
	require.False(t, isFolder(cloud.NewBucket(b)))
	require.False(t, isFolder(cloud.NewBucket(anyError{b})))
}

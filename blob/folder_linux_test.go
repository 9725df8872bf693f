package blob_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/blob"
	"github.com/windevkay/forge/genie/blob/internal/nobody"
)

// The driver lists a folder that it may not read as an empty one. A restore must not take that
// for a bucket without copies. With the mode 0311, the objects in it may be read by their names.
func TestAFolderThatMayNotBeRead(t *testing.T) {
	for _, mode := range []fs.FileMode{0o300, 0o311} {
		for _, prefix := range []string{"", "app", "app/host"} {
			t.Run(mode.String()+" prefix "+prefix, func(t *testing.T) {
				path := t.TempDir()
				require.NoError(t, os.Chmod(filepath.Dir(path), 0o755)) // of the test, too
				require.NoError(t, os.Chmod(path, 0o755))
				copies, err := blob.New(folder(t, path), prefix)
				require.NoError(t, err)
				store, err := genie.NewStore(genie.WithoutFile())
				require.NoError(t, err)
				_, err = copies.Copy(t.Context(), store)
				require.NoError(t, err)
				place := filepath.Join(path, prefix)
				require.NoError(t, os.Chmod(place, mode))
				t.Cleanup(func() { require.NoError(t, os.Chmod(place, 0o755)) })
				nobody.Run(t, func() {
					_, err = copies.Restore(t.Context(), store)
				})
				require.ErrorIs(t, err, fs.ErrPermission)
				require.NotErrorIs(t, err, blob.ErrNoCopy)
				require.NoError(t, os.Chmod(place, 0o755))
				_, err = copies.Restore(t.Context(), store)
				require.NoError(t, err)
			})
		}
	}
}

func TestAFolderThatIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bucket")
	require.NoError(t, os.Mkdir(path, 0o700))
	copies, err := blob.New(folder(t, path), "app")
	require.NoError(t, err)
	store, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	_, err = copies.Restore(t.Context(), store)
	require.ErrorIs(t, err, blob.ErrNoCopy)
	require.NoError(t, os.Remove(path))
	_, err = copies.Restore(t.Context(), store)
	require.ErrorContains(t, err, "the folder of the bucket does not exist")
	require.NotErrorIs(t, err, fs.ErrNotExist)
}

// A copy is as private as a backup file.
func TestCopiesAreTheOwnersOnly(t *testing.T) {
	path := t.TempDir()
	copies, err := blob.New(folder(t, path), "")
	require.NoError(t, err)
	store, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	_, err = copies.Copy(t.Context(), store)
	require.NoError(t, err)
	files, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		info, err := file.Info()
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

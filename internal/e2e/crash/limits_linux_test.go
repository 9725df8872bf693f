package crash_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

func TestAFileThatGrowsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	c := spawn(t, "limited", path)
	c.expectLoad(7, 7)
	require.Equal(t, "TOO LARGE true", c.next())
	requireNoTemps(t, path)
	_, err := os.Stat(path + ".loaded")
	require.NoError(t, err, "the only copy of what was loaded")
	c.letGo()
	require.Equal(t, []int64{8}, c.expect("ACK"))
	require.Empty(t, c.end())
	require.Equal(t, 8, generation(newStore(t, path)))
}

// mount returns the folder of a small file system of its own, or skips the test
// where that is not allowed.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// exhaust fills dir with files of these contents until the file system is full, and
// returns their names.
func exhaust(t *testing.T, dir, contents string) (names []string) {
	t.Helper()
	for {
		name := filepath.Join(dir, fmt.Sprint("filler", len(names)))
		err := os.WriteFile(name, []byte(contents), 0o600)
		if err == nil || contents != "" { // the last one may be there, without its contents
			names = append(names, name)
		}
		if errors.Is(err, syscall.ENOSPC) {
			return names
		}
		require.NoError(t, err)
	}
}

func remove(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		require.NoError(t, os.Remove(name))
	}
}

func TestAFullDisk(t *testing.T) {
	dir := mount(t, "size=128k")
	path := filepath.Join(dir, "b")
	store := newStore(t, path)
	store.Set("k", strings.Repeat("old", 4000))
	require.NoError(t, store.Backup())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	fillers := exhaust(t, dir, strings.Repeat("x", 4096))

	store.Set("k", strings.Repeat("new", 4000))
	require.ErrorIs(t, store.Backup(), syscall.ENOSPC)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	requireNoTemps(t, path)

	remove(t, fillers...)
	require.NoError(t, store.Backup())
	value, _ := newStore(t, path).Get("k")
	require.Equal(t, strings.Repeat("new", 4000), value)
}

// A load needs no room for the data, only for a file.
func TestALoadFromAFullDisk(t *testing.T) {
	dir := mount(t, "size=128k")
	path := filepath.Join(dir, "b")
	first := newStore(t, path)
	first.Set("k", "v")
	require.NoError(t, first.Backup())
	exhaust(t, dir, strings.Repeat("x", 4096))
	value, _ := newStore(t, path).Get("k")
	require.Equal(t, "v", value)
}

func TestNoRoomForAFile(t *testing.T) {
	dir := mount(t, "nr_inodes=16")
	path := filepath.Join(dir, "b")
	store := newStore(t, path)
	store.Set("k", "old")
	require.NoError(t, store.Backup())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	fillers := exhaust(t, dir, "")

	store.Set("k", "new")
	require.ErrorIs(t, store.Backup(), syscall.ENOSPC)
	_, err = genie.NewStore(genie.WithPath(path))
	require.ErrorIs(t, err, syscall.ENOSPC)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after, "neither has touched it")

	remove(t, fillers[0])
	require.NoError(t, store.Backup(), "one file is enough")
	next := newStore(t, path)
	value, _ := next.Get("k")
	require.Equal(t, "new", value)

	next.Set("k", "newer")
	require.ErrorIs(t, next.Backup(), syscall.ENOSPC, "what was loaded has its file still")
	remove(t, fillers[1])
	require.NoError(t, next.Backup())
	requireNoTemps(t, path)
	value, _ = newStore(t, path).Get("k")
	require.Equal(t, "newer", value)
}

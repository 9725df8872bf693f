//go:build unix && !aix && !solaris

package durable_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// newMachine returns the real file system for a process of its own: the
// registry keeps it apart from others, and the kernel's locks do not.
func newMachine(t *testing.T) durable.FS {
	fsys := durabletest.Over(durable.OS{})
	t.Cleanup(func() { durable.Forget(fsys) })
	return fsys
}

// startAt starts a process that uses path, and requires what it should load.
func startAt(t *testing.T, path, loads string) *durable.File {
	t.Helper()
	f, loaded, err := start(newMachine(t), path)
	require.NoError(t, err)
	require.Equal(t, loads, loaded)
	return f
}

func write(t *testing.T, path, contents string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(contents), 0o644))
}

// requireFolder requires that dir has these files, with these contents. Links
// show where they lead.
func requireFolder(t *testing.T, dir string, want files) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	got := files{}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if target, err := os.Readlink(path); err == nil {
			got[entry.Name()] = "-> " + target
			continue
		}
		if entry.IsDir() {
			got[entry.Name()] = "folder"
			continue
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		got[entry.Name()] = string(data)
	}
	require.Equal(t, want, got)
}

func TestLoadAndCommitOnTheRealSystem(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	write(t, path, "old")
	write(t, filepath.Join(dir, ".b.tmp-stale"), "stale")
	f := startAt(t, path, "old")
	requireFolder(t, dir, files{"b": "", "b.loaded": "old"})
	startAt(t, path, "")
	require.NoError(t, commit(f, "new"))
	requireFolder(t, dir, files{"b": "new"})

	write(t, path, "foreign")
	require.False(t, f.Intact())
	require.NoError(t, commit(f, "newer"))
	require.True(t, f.Intact())
	requireFolder(t, dir, files{"b": "newer", "b.prev": "foreign"})
	startAt(t, path, "newer")
}

func TestALiveTempIsSpared(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	f := startAt(t, path, "")
	pending, err := f.Create()
	require.NoError(t, err)
	startAt(t, path, "")
	require.NoError(t, pending.Commit())
	requireFolder(t, dir, files{"b": ""})
}

// A sweep must not take a file between its making and its locking.
func TestSweepsSpareWhatIsBeingMade(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	f := startAt(t, path, "")
	stop := make(chan struct{})
	var sweeper sync.WaitGroup
	sweeper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := durable.Open(durable.OS{}, path); err != nil {
				t.Errorf("sweep: %v", err)
				return
			}
		}
	})
	for range 3000 {
		pending, err := f.Create()
		require.NoError(t, err)
		_, err = durable.Open(durable.OS{}, path) // takes what is not locked
		require.NoError(t, err)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.NotEmpty(t, entries)
		pending.Abort()
	}
	close(stop)
	sweeper.Wait()
}

// A store that nobody uses any more is garbage, but the process still owns what
// it has loaded.
func TestOwnershipOutlivesTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	write(t, path, "old")
	startAt(t, path, "old")
	for range 3 { // a finalizer runs after one, and the file's is the second
		runtime.GC()
	}
	startAt(t, path, "")
}

// What only looks like a temporary file is not opened in a way that hangs.
func TestASweepOfStrangeThings(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, ".b.tmp-pipe"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".b.tmp-folder"), 0o700))
	require.NoError(t, requireReturns(t, func() error {
		_, _, err := start(newMachine(t), filepath.Join(dir, "b"))
		return err
	}))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestLinks(t *testing.T) {
	for name, test := range map[string]struct {
		links files  // from and to, within the folder
		file  string // where they lead
	}{
		"link":              {files{"b": "data/real"}, "data/real"},
		"chain":             {files{"b": "b1", "b1": "data/b2", "data/b2": "../data/real"}, "data/real"},
		"through a folder":  {files{"b": "linked/real", "linked": "data"}, "data/real"},
		"up from a folder":  {files{"b": "linked/../real", "linked": "data/deep"}, "data/real"},
		"out of the folder": {files{"b": "data/../real"}, "real"},
	} {
		for _, old := range []string{"old", ""} {
			t.Run(fmt.Sprintf("%s to %q", name, old), func(t *testing.T) {
				dir := t.TempDir()
				require.NoError(t, os.MkdirAll(filepath.Join(dir, "data", "deep"), 0o700))
				for from, to := range test.links {
					require.NoError(t, os.Symlink(to, filepath.Join(dir, from)))
				}
				real := filepath.Join(dir, test.file)
				if old != "" { // or else the link leads nowhere
					write(t, real, old)
				}
				f := startAt(t, filepath.Join(dir, "b"), old)
				require.Equal(t, real, f.Path())
				require.NoError(t, commit(f, "new"))
				data, err := os.ReadFile(real)
				require.NoError(t, err)
				require.Equal(t, "new", string(data))
				for from, to := range test.links {
					target, err := os.Readlink(filepath.Join(dir, from))
					require.NoError(t, err)
					require.Equal(t, to, target)
				}
			})
		}
	}
}

func TestAbsoluteLink(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	real := filepath.Join(data, "real")
	write(t, real, "old")
	require.NoError(t, os.Symlink(real, filepath.Join(dir, "b")))
	f := startAt(t, filepath.Join(dir, "b"), "old")
	requireFolder(t, dir, files{"b": "-> " + real})
	requireFolder(t, data, files{"real": "", "real.loaded": "old"})
	require.NoError(t, commit(f, "new"))
	requireFolder(t, data, files{"real": "new"})
}

func TestHardLink(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b"), "old")
	require.NoError(t, os.Link(filepath.Join(dir, "b"), filepath.Join(dir, "other")))
	f := startAt(t, filepath.Join(dir, "b"), "old")
	require.NoError(t, commit(f, "new"))
	requireFolder(t, dir, files{"b": "new", "other": "old"})
}

// requireReturns runs open, and fails the test if open does not come back.
func requireReturns(t *testing.T, open func() error) error {
	t.Helper()
	patience, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- open() }()
	select {
	case err := <-done:
		return err
	case <-patience.Done():
		require.FailNow(t, "hangs")
		return nil
	}
}

func TestWhatIsNotAFile(t *testing.T) {
	pipe := func(path string) error { return syscall.Mkfifo(path, 0o600) }
	folder := func(path string) error { return os.Mkdir(path, 0o700) }
	loop := func(path string) error { return os.Symlink(filepath.Base(path), path) }
	for name, test := range map[string]struct {
		make func(path string) error
		at   string
		want error
	}{
		"pipe":                 {pipe, "b", durable.ErrNotRegular},
		"folder":               {folder, "b", durable.ErrNotRegular},
		"loop":                 {loop, "b", nil},
		"device":               {func(path string) error { return os.Symlink("/dev/null", path) }, "b", durable.ErrNotRegular},
		"pipe as hand-over":    {pipe, "b.loaded", durable.ErrNotRegular},
		"folder as hand-over":  {folder, "b.loaded", durable.ErrNotRegular},
		"link as hand-over":    {loop, "b.loaded", durable.ErrNotRegular},
		"file in folder's way": {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "b", syscall.ENOTDIR},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, test.make(filepath.Join(dir, test.at)))
			path := filepath.Join(dir, "b")
			if test.want == syscall.ENOTDIR {
				path = filepath.Join(path, "b")
			}
			err := requireReturns(t, func() error {
				_, _, err := start(newMachine(t), path)
				return err
			})
			require.Error(t, err)
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
			}
			require.Contains(t, err.Error(), string(filepath.Separator), "it says where")
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 1, "nothing is left behind")
		})
	}
}

// Something that gets in the way later is not replaced, and not waited for.
func TestWhatIsNotAFileAnyMore(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "b")
			write(t, path, "old")
			f := startAt(t, path, "old")
			require.NoError(t, os.Remove(path))
			require.NoError(t, replace(path))
			err := requireReturns(t, func() error { return commit(f, "new") })
			require.ErrorIs(t, err, durable.ErrNotRegular)
			require.NoError(t, os.Remove(path))
			requireFolder(t, dir, files{"b.loaded": "old"})
			require.NoError(t, commit(f, "new"))
			requireFolder(t, dir, files{"b": "new"})
		})
	}
}

func TestMissingFolder(t *testing.T) {
	_, _, err := start(newMachine(t), filepath.Join(t.TempDir(), "none", "b"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestAFolderThatGoesAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(dir, 0o700))
	f := startAt(t, filepath.Join(dir, "b"), "")
	require.NoError(t, os.Remove(dir))
	require.ErrorIs(t, commit(f, "new"), fs.ErrNotExist)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, commit(f, "new"))
	requireFolder(t, dir, files{"b": "new"})
}

func TestARelativePathIsTakenOnce(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	write(t, "b", "old")
	f := startAt(t, "b", "old")
	t.Chdir(other)
	require.NoError(t, commit(f, "new"))
	requireFolder(t, dir, files{"b": "new"})
	requireFolder(t, other, files{})
}

func TestStrangeNames(t *testing.T) {
	for _, name := range []string{
		"[a", "[a-z]*", "*", "?", "with blanks ", "-rf", ".hidden", "new\nline", "ünïcödé", "bad\xffutf8", `back\slash`,
		".b.tmp-", "b.loaded", "%s%d", strings.Repeat("n", 200),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "[x]* y")
			require.NoError(t, os.Mkdir(dir, 0o700))
			path := filepath.Join(dir, name)
			write(t, path, "old")
			write(t, filepath.Join(dir, "."+name+".tmp-stale"), "stale")
			write(t, filepath.Join(dir, ".other.tmp-stale"), "other's")
			f := startAt(t, path, "old")
			requireFolder(t, dir, files{name: "", name + ".loaded": "old", ".other.tmp-stale": "other's"})
			require.NoError(t, commit(f, "new"))
			requireFolder(t, dir, files{name: "new", ".other.tmp-stale": "other's"})
		})
	}
}

// The umask is the process's: this test must not run in parallel with others.
func TestTheModeIsTheOwnersOnly(t *testing.T) {
	for _, umask := range []int{0o777, 0o022, 0} {
		t.Run(fmt.Sprintf("umask %#o", umask), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "b")
			write(t, path, "old")
			before := syscall.Umask(umask)
			defer syscall.Umask(before)

			f := startAt(t, path, "old")
			requireMode(t, path, 0o600)
			require.NoError(t, commit(f, "new"))
			requireMode(t, path, 0o600)
			write(t, path, "foreign")
			require.NoError(t, os.Chmod(path, 0o644))
			require.NoError(t, commit(f, "newer"))
			requireMode(t, path, 0o600)
			requireMode(t, f.Previous(), 0o600)
		})
	}
}

func requireMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, want, info.Mode())
}

//go:build unix && !aix && !solaris

package durable_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// newMachine returns the real file system as a process of its own sees it: the
// registry keeps its locks apart from those of others, and so does the kernel.
func newMachine(t *testing.T) durable.FS {
	return durabletest.Over(durable.OS{})
}

// startAt starts a process that uses path, and requires what it should load.
func startAt(t *testing.T, path, loads string) *durable.File {
	t.Helper()
	f, loaded, err := start(newMachine(t), path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	require.Equal(t, loads, loaded)
	return f
}

func save(t *testing.T, path, contents string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(contents), 0o644))
}

// requireFolder requires that dir has these files, with these contents, and no
// other but a lock's. Links show where they lead.
func requireFolder(t *testing.T, dir string, want files) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	got := files{}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if strings.HasSuffix(path, ".lock") {
			continue
		}
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
	save(t, path, "old")
	save(t, filepath.Join(dir, ".b.tmp-0123456789abcdef"), "stale")
	save(t, filepath.Join(dir, ".b.tmp-notes"), "a user's")
	f := startAt(t, path, "old")
	requireFolder(t, dir, files{"b": "", "b.loaded": "old", ".b.tmp-notes": "a user's"})
	_, _, err := start(newMachine(t), path)
	require.ErrorIs(t, err, durable.ErrInUse)
	require.NoError(t, commit(f, "new"))

	save(t, path, "foreign")
	require.False(t, f.Intact())
	require.NoError(t, commit(f, "newer"))
	require.True(t, f.Intact())
	requireFolder(t, dir, files{"b": "newer", "b.prev": "foreign", ".b.tmp-notes": "a user's"})
	require.NoError(t, f.Close())
	startAt(t, path, "newer")
}

// What only looks like a temporary file is not opened in a way that hangs.
func TestASweepOfStrangeThings(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, ".b.tmp-0123456789abcdef"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".b.tmp-fedcba9876543210"), 0o700))
	require.NoError(t, requireReturns(t, func() error {
		f, _, err := start(newMachine(t), filepath.Join(dir, "b"))
		_ = f.Close()
		return err
	}))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3, "and the lock's file")
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
		"up from a link":    {files{"b": "linked/../../real", "linked": "data/deep"}, "real"},
		"a dot":             {files{"b": "./data/./real"}, "data/real"},
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
					save(t, real, old)
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
	save(t, real, "old")
	require.NoError(t, os.Symlink(real, filepath.Join(dir, "b")))
	f := startAt(t, filepath.Join(dir, "b"), "old")
	requireFolder(t, dir, files{"b": "-> " + real})
	requireFolder(t, data, files{"real": "", "real.loaded": "old"})
	require.NoError(t, commit(f, "new"))
	requireFolder(t, data, files{"real": "new"})
}

func TestHardLink(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "b"), "old")
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
		"pipe":                  {pipe, "b", durable.ErrNotRegular},
		"folder":                {folder, "b", durable.ErrNotRegular},
		"loop":                  {loop, "b", nil},
		"device":                {func(path string) error { return os.Symlink("/dev/null", path) }, "b", durable.ErrNotRegular},
		"pipe as hand-over":     {pipe, "b.loaded", durable.ErrNotRegular},
		"folder as hand-over":   {folder, "b.loaded", durable.ErrNotRegular},
		"link as hand-over":     {loop, "b.loaded", durable.ErrNotRegular},
		"pipe as previous":      {pipe, "b.prev", durable.ErrNotRegular},
		"pipe as lock":          {pipe, "b.lock", durable.ErrNotRegular},
		"folder as lock":        {folder, "b.lock", durable.ErrNotRegular},
		"link as lock":          {loop, "b.lock", durable.ErrNotRegular},
		"dangling link as lock": {func(path string) error { return os.Symlink("nowhere", path) }, "b.lock", durable.ErrNotRegular},
		"file in folder's way":  {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "b", syscall.ENOTDIR},
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
			require.Error(t, requireReturns(t, func() error {
				return durable.Read(durable.OS{}, path, func(string, io.Reader) error { return nil })
			}))
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
			save(t, path, "old")
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
	require.NoError(t, os.RemoveAll(dir))
	require.ErrorIs(t, commit(f, "new"), fs.ErrNotExist)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, commit(f, "new"))
	requireFolder(t, dir, files{"b": "new"})
}

func TestARelativePathIsTakenOnce(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	save(t, "b", "old")
	f := startAt(t, "b", "old")
	t.Chdir(other)
	require.NoError(t, commit(f, "new"))
	requireFolder(t, dir, files{"b": "new"})
	requireFolder(t, other, files{})
}

// A path means what it means to the system: the .. behind a link leads out of the
// folder that the link leads to.
func TestPathsWithDots(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "far", "deep"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "near"), 0o700))
	require.NoError(t, os.Symlink(filepath.Join("..", "far", "deep"), filepath.Join(root, "near", "link")))
	t.Chdir(filepath.Join(root, "near"))
	for path, want := range map[string]string{
		"link/../b":                           "far/b",
		"./link/.././b":                       "far/b",
		"../near/link/../b":                   "far/b",
		root + "/near/link/../b":              "far/b",
		"b":                                   "near/b",
		"./b":                                 "near/b",
		"../near//b":                          "near/b",
		"link/b":                              "far/deep/b",
		"/proc/self/cwd/b":                    "near/b",
		root + "/near/link/../../near/link/b": "far/deep/b",
	} {
		if _, err := os.Stat(filepath.Dir(path)); err != nil && strings.HasPrefix(path, "/proc") {
			continue
		}
		want = filepath.Join(root, want)
		save(t, want, "old")
		given, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "old", string(given))
		f, err := durable.Open(newMachine(t), path, 0)
		require.NoError(t, err)
		require.Equal(t, want, f.Path(), path)
		loaded, err := loadInto(f)
		require.NoError(t, err)
		require.Equal(t, "old", loaded)
		require.NoError(t, commit(f, "new"))
		require.NoError(t, f.Close())
		require.NoError(t, os.Remove(want))
	}
}

func TestPathsOfFolders(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.Mkdir("folder", 0o700))
	require.NoError(t, os.Symlink("folder/", "link"))
	require.NoError(t, os.Symlink("folder/new/", "dangling"))
	require.NoError(t, os.Symlink("folder/..", "up"))
	for _, path := range []string{"", ".", "..", "/", "folder", "folder/", "folder/.", "folder/..", "new/", "link", "dangling", "up", dir + "/"} {
		_, err := durable.Open(newMachine(t), path, 0)
		require.ErrorIs(t, err, durable.ErrNotRegular, path)
		require.ErrorIs(t, durable.Read(durable.OS{}, path, nil), durable.ErrNotRegular, path)
	}
	require.Len(t, temporary(t, dir), 0)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 4)
}

func temporary(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		if strings.Contains(entry.Name(), ".tmp-") {
			names = append(names, entry.Name())
		}
	}
	return names
}

func TestReservedNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"x.lock", "x.loaded", "x.prev", "X.LOADED", "x.Lock", ".lock", ".x.tmp-0123456789abcdef", ".X.TMP-0123456789ABCDEF", ".a\nb.tmp-0123456789abcdef"} {
		path := filepath.Join(dir, name)
		link := filepath.Join(dir, "link")
		require.NoError(t, os.Symlink(name, link))
		reserved, target := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), "b")
		require.NoError(t, os.Symlink(target, reserved))
		for _, path := range []string{path, link, reserved} {
			_, err := durable.Open(newMachine(t), path, 0)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, "kept for files beside a backup file")
		}
		require.NoError(t, os.Remove(link))
	}
	requireFolder(t, dir, files{})
	for _, name := range []string{"lock", "prev", "x.locked", "x.lock.json", ".x.tmp-0123456789abcde", "x.tmp-0123456789abcdef"} {
		require.NoError(t, startAt(t, filepath.Join(dir, name), "").Close())
	}
}

// Either a name works for all that may ever happen, or Open tells which name does
// not fit.
func TestLongNames(t *testing.T) {
	dir := t.TempDir()
	works := 0
	for length := 220; length <= 256; length++ {
		name := strings.Repeat("n", length)
		path := filepath.Join(dir, name)
		f, err := durable.Open(newMachine(t), path, 0)
		if err != nil {
			require.ErrorIs(t, err, syscall.ENAMETOOLONG)
			require.ErrorContains(t, err, name)
			require.Greater(t, length, works)
			continue
		}
		works = length
		save(t, path, "old")
		save(t, f.HandOver(), "older")
		_, err = loadInto(f)
		require.NoError(t, err)
		save(t, path, "foreign")
		require.NoError(t, commit(f, "new"))
		requireFolder(t, dir, files{name: "new", name + ".prev": "foreign"})
		require.NoError(t, f.Close())
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Remove(f.Previous()))
	}
	require.GreaterOrEqual(t, works, 220)
}

func TestStrangeNames(t *testing.T) {
	for _, name := range []string{
		"[a", "[a-z]*", "*", "?", "with blanks ", "-rf", ".hidden", "new\nline", "ünïcödé", "bad\xffutf8", `back\slash`,
		".b.tmp-", "b.loaded.", "%s%d", "...", strings.Repeat("n", 200),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "[x]* y")
			require.NoError(t, os.Mkdir(dir, 0o700))
			path := filepath.Join(dir, name)
			save(t, path, "old")
			save(t, filepath.Join(dir, "."+name+".tmp-0123456789abcdef"), "stale")
			save(t, filepath.Join(dir, ".other.tmp-0123456789abcdef"), "other's")
			f := startAt(t, path, "old")
			requireFolder(t, dir, files{name: "", name + ".loaded": "old", ".other.tmp-0123456789abcdef": "other's"})
			require.NoError(t, commit(f, "new"))
			requireFolder(t, dir, files{name: "new", ".other.tmp-0123456789abcdef": "other's"})
		})
	}
}

// The umask is the process's: this test must not run in parallel with others.
func TestTheModeIsTheOwnersOnly(t *testing.T) {
	for _, umask := range []int{0o777, 0o022, 0} {
		t.Run(fmt.Sprintf("umask %#o", umask), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "b")
			save(t, path, "old")
			before := syscall.Umask(umask)
			defer syscall.Umask(before)

			f := startAt(t, path, "old")
			requireMode(t, path, 0o600)
			requireMode(t, path+".lock", 0o600)
			require.NoError(t, commit(f, "new"))
			requireMode(t, path, 0o600)
			save(t, path, "foreign")
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

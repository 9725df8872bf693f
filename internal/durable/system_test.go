//go:build unix && !aix && !solaris

package durable_test

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
)

const (
	nobody   = 65534
	stranger = 12345
)

func needsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// sharedFolder makes a folder that other users can reach, unlike t.TempDir.
func sharedFolder(t *testing.T, mode fs.FileMode) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "durable")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, mode))
	dir, err = filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	return dir
}

// program returns the path of this binary, where every user can start it.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	if os.Geteuid() != 0 {
		return self
	}
	data, err := os.ReadFile(self)
	require.NoError(t, err)
	path := filepath.Join(sharedFolder(t, 0o755), "program")
	require.NoError(t, os.WriteFile(path, data, 0o755))
	return path
}

// A childProcess carries out a task of child.
type childProcess struct {
	*exec.Cmd
	output *bufio.Reader
	input  io.Closer
}

func startChild(t *testing.T, program, task, path string, uid uint32) *childProcess {
	t.Helper()
	patience, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	cmd := exec.CommandContext(patience, program)
	cmd.Env = append(os.Environ(), childVariable+"="+task, "GENIE_DURABLE_PATH="+path)
	cmd.Stderr = os.Stderr
	cmd.Dir = "/"
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		input.Close()
		_ = cmd.Wait()
		cancel()
	})
	return &childProcess{cmd, bufio.NewReader(output), input}
}

func (c *childProcess) line(t *testing.T) string {
	t.Helper()
	line, err := c.output.ReadString('\n')
	require.NoError(t, err)
	return line
}

// as returns the outcome of a task that another user carries out.
func as(t *testing.T, uid uint32, task, path string) string {
	t.Helper()
	return startChild(t, program(t), task, path, uid).line(t)
}

func TestTheOwnerIsKilledWhileAnotherWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	save(t, path, "old")
	owner := startChild(t, program(t), "load", path, 0)
	require.Equal(t, "\"old\" [] <nil>\n", owner.line(t))
	fsys := newMachine(t)
	_, err := durable.Open(fsys, path, 0)
	require.ErrorIs(t, err, durable.ErrInUse)
	require.Contains(t, err.Error(), "in use by process ")
	require.Contains(t, err.Error(), path)

	opened := make(chan error, 1)
	loaded := ""
	go func() {
		f, err := durable.Open(fsys, path, 10*time.Second)
		if err == nil {
			loaded, err = loadInto(f)
			_ = f.Close()
		}
		opened <- err
	}()
	require.NoError(t, owner.Process.Kill())
	require.NoError(t, <-opened)
	require.Equal(t, "old", loaded)
}

// A child process that outlives the Close of its parent does not keep the lock.
func TestAChildDoesNotInheritTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	f := startAt(t, path, "")
	startChild(t, program(t), "sleep", path, 0)
	require.NoError(t, f.Close())
	startAt(t, path, "")
}

// A lock stays when nothing refers to its File any more: without Close the process
// owns the path.
func TestTheLockOutlivesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	save(t, path, "old")
	fsys := newMachine(t)
	_, err := durable.Open(fsys, path, 0)
	require.NoError(t, err)
	t.Cleanup(func() { durable.Forget(fsys) })
	for range 3 { // a finalizer runs after one, and the file's is the second
		runtime.GC()
	}
	_, err = durable.Open(newMachine(t), path, 0)
	require.ErrorIs(t, err, durable.ErrInUse)
	runtime.KeepAlive(fsys)
}

func TestALockWithASecondName(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "other"), "contents")
	require.NoError(t, os.Link(filepath.Join(dir, "other"), filepath.Join(dir, "b.lock")))
	_, err := durable.Open(newMachine(t), filepath.Join(dir, "b"), 0)
	require.ErrorContains(t, err, "b.lock")
	require.ErrorContains(t, err, "hard link")
	requireFolder(t, dir, files{"other": "contents"})
}

func TestALockThatMayNotBeWritten(t *testing.T) {
	needsRoot(t)
	for name, test := range map[string]struct {
		folder fs.FileMode
		lock   bool // exists, and is root's
	}{
		"root's lock": {0o777, true},
		"no lock":     {0o755, false},
		"both":        {0o755, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := sharedFolder(t, test.folder)
			path := filepath.Join(dir, "b")
			save(t, path, "old")
			if test.lock {
				require.NoError(t, os.WriteFile(path+".lock", nil, 0o600))
			}
			got := as(t, nobody, "load", path)
			require.Contains(t, got, "[ErrPermission]")
			require.Contains(t, got, path+".lock")
			requireFolder(t, dir, files{"b": "old"})
			require.Equal(t, "\"old\" [] <nil>\n", as(t, nobody, "read", path), "reading is not owning")
		})
	}
}

// A folder in which no backup can be written shows at the start.
func TestAFolderThatMayNotBeWritten(t *testing.T) {
	needsRoot(t)
	for _, contents := range []files{{}, {"b": ""}, {"b": "old"}, {"b.loaded": "old"}} {
		dir := sharedFolder(t, 0o700)
		contents := contents
		for name, data := range contents {
			save(t, filepath.Join(dir, name), data)
		}
		// The lock's file may be written: the folder alone is in the way.
		lock := filepath.Join(dir, "b.lock")
		save(t, lock, "")
		require.NoError(t, os.Chown(lock, nobody, nobody))
		require.NoError(t, os.Chmod(dir, 0o555))
		got := as(t, nobody, "load", filepath.Join(dir, "b"))
		require.Contains(t, got, "[ErrPermission]")
		require.Contains(t, got, dir)
		requireFolder(t, dir, contents)
	}
}

// Acknowledged backups were lost where the folder could not be synced.
func TestAFolderThatMayNotBeRead(t *testing.T) {
	needsRoot(t)
	for _, contents := range []files{{}, {"b": "old"}} {
		dir := sharedFolder(t, 0o300)
		for name, data := range contents {
			save(t, filepath.Join(dir, name), data)
		}
		require.NoError(t, os.Chown(dir, nobody, nobody))
		got := as(t, nobody, "load", filepath.Join(dir, "b"))
		require.Contains(t, got, "[ErrPermission]")
		require.Contains(t, got, "readable")
		require.Contains(t, got, dir)
		requireFolder(t, dir, contents)
	}
}

func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	return info.Sys().(*syscall.Stat_t).Uid
}

// A process that runs as root once does not lock the user out.
func TestRootKeepsTheOwner(t *testing.T) {
	needsRoot(t)
	for _, at := range []string{"b", "b.loaded"} {
		t.Run(at, func(t *testing.T) {
			dir := sharedFolder(t, 0o755)
			require.NoError(t, os.Chown(dir, nobody, nobody))
			path := filepath.Join(dir, "b")
			save(t, filepath.Join(dir, at), "old")
			require.NoError(t, os.Chown(filepath.Join(dir, at), nobody, nobody))
			f := startAt(t, path, "old")
			for _, name := range []string{"b", "b.lock", "b.loaded"} {
				require.EqualValues(t, nobody, ownerOf(t, filepath.Join(dir, name)), name)
			}
			require.NoError(t, os.Remove(path)) // the hand-over file tells, too
			require.NoError(t, commit(f, "new"))
			require.EqualValues(t, nobody, ownerOf(t, path))
			save(t, path, "the user's")
			require.NoError(t, commit(f, "newer"))
			require.EqualValues(t, nobody, ownerOf(t, path))
			require.EqualValues(t, nobody, ownerOf(t, f.Previous()))
			require.NoError(t, f.Close())
			require.Equal(t, "\"newer\" [] <nil>\n", as(t, nobody, "load", path))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "b.lock"), nil, 0o600))
		})
	}
}

// A user other than root gets the backup of a file that is not his.
func TestAnotherOwnerIsNotKeptByUsers(t *testing.T) {
	needsRoot(t)
	dir := sharedFolder(t, 0o777)
	path := filepath.Join(dir, "b")
	save(t, path, "root's")
	require.Equal(t, "\"\" [] <nil>\n", as(t, nobody, "backup", path))
	require.EqualValues(t, nobody, ownerOf(t, path))
}

// In a folder such as /tmp, a stranger may have made any file before. Nothing of
// his is used, and nothing that his links lead to is touched.
func TestAStrangersFilesInASharedFolder(t *testing.T) {
	needsRoot(t)
	for _, name := range []string{"b", "b.loaded", "b.prev", "b.lock"} {
		for kind, plant := range map[string]func(t *testing.T, target, path string){
			"file": func(t *testing.T, _, path string) { save(t, path, "planted") },
			"link": func(t *testing.T, target, path string) { require.NoError(t, os.Symlink(target, path)) },
			"dangling link": func(t *testing.T, target, path string) {
				require.NoError(t, os.Symlink(target+"-new", path))
			},
			"hard link": func(t *testing.T, target, path string) {
				require.NoError(t, os.Chown(target, stranger, stranger))
				require.NoError(t, os.Link(target, path))
			},
		} {
			t.Run(name+" as "+kind, func(t *testing.T) {
				folder := sharedFolder(t, 0o777|fs.ModeSticky)
				target := filepath.Join(sharedFolder(t, 0o755), "target")
				save(t, target, "contents")
				planted := filepath.Join(folder, name)
				plant(t, target, planted)
				require.NoError(t, os.Lchown(planted, stranger, stranger))
				before := lstat(t, target)
				path := filepath.Join(folder, "b")

				_, _, err := start(newMachine(t), path)
				require.ErrorIs(t, err, fs.ErrPermission)
				require.ErrorContains(t, err, planted)
				if name == "b" {
					require.ErrorIs(t, durable.Read(durable.OS{}, path, readInto(new(string))), fs.ErrPermission)
				}
				require.Equal(t, before, lstat(t, target))
				data, err := os.ReadFile(target)
				require.NoError(t, err)
				require.Equal(t, "contents", string(data))
				require.NoFileExists(t, target+"-new")
				require.EqualValues(t, stranger, ownerOf(t, planted))
				require.Empty(t, temporary(t, folder))
			})
		}
	}
}

func lstat(t *testing.T, path string) (what [4]uint64) {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	st := info.Sys().(*syscall.Stat_t)
	return [4]uint64{uint64(info.Mode()), uint64(info.Size()), uint64(st.Uid), uint64(st.Gid)}
}

// The folder's owner, and the user, may link and make files as they like.
func TestTheFolderOwnersFilesInASharedFolder(t *testing.T) {
	needsRoot(t)
	dir := sharedFolder(t, 0o777|fs.ModeSticky)
	require.NoError(t, os.Chown(dir, stranger, stranger))
	target := filepath.Join(sharedFolder(t, 0o755), "target")
	save(t, target, "old")
	path := filepath.Join(dir, "b")
	require.NoError(t, os.Symlink(target, path))
	require.NoError(t, os.Lchown(path, stranger, stranger))
	temp := filepath.Join(filepath.Dir(target), ".target.tmp-0123456789abcdef")
	save(t, temp, "stale")
	f := startAt(t, path, "old")
	require.Equal(t, target, f.Path())
	require.NoError(t, commit(f, "new"))
	require.NoFileExists(t, temp)

	// A stranger's temporary file is left alone, and hinders nothing.
	shared := sharedFolder(t, 0o777|fs.ModeSticky)
	temp = filepath.Join(shared, ".b.tmp-0123456789abcdef")
	save(t, temp, "a stranger's")
	require.NoError(t, os.Chown(temp, stranger, stranger))
	require.NoError(t, commit(startAt(t, filepath.Join(shared, "b"), ""), "new"))
	require.FileExists(t, temp)
}

// A file that is mounted by itself cannot be replaced: the start tells.
func TestAMountedFile(t *testing.T) {
	needsRoot(t)
	for _, contents := range []string{"", "old"} {
		dir := t.TempDir()
		from, path := filepath.Join(dir, "from"), filepath.Join(dir, "b")
		save(t, from, contents)
		save(t, path, "")
		if out, err := exec.Command("mount", "--bind", from, path).CombinedOutput(); err != nil {
			t.Skipf("mount: %v %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("umount", path).Run() })
		fsys := newMachine(t)
		f, _, err := start(fsys, path)
		require.ErrorIs(t, err, syscall.EBUSY)
		require.ErrorContains(t, err, "mount its folder")
		require.NoError(t, f.Close())
		requireFolder(t, dir, files{"from": contents, "b": contents})
	}
}

// A pipe that takes the place of a file between the look and the open does not hang
// the opening.
func TestOpeningDoesNotHang(t *testing.T) {
	dir := t.TempDir()
	pipe, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, os.Symlink("target", link))
	for name, open := range map[string]func(string) (durable.Handle, error){
		"Open": durable.OS{}.Open, "OpenLock": durable.OS{}.OpenLock,
	} {
		require.ErrorIs(t, requireReturns(t, func() error { _, err := open(pipe); return err }), durable.ErrNotRegular, name)
		_, err := open(link)
		require.Error(t, err, name)
		require.NoFileExists(t, filepath.Join(dir, "target"))
	}
	_, err := durable.OS{}.Create(link)
	require.ErrorIs(t, err, fs.ErrExist)
	require.NotContains(t, strings.Join(temporary(t, dir), " "), "tmp")
}

package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// A process that the owner has started does not keep the lock when the owner ends.
func TestTheLockIsNotInherited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	endOwnerOnly(t, path, "plain")
	spawn(t, "hold", path).expectLoad(7, 7)
}

// A process that has inherited the handle of the lock keeps the lock after the end
// of the owner. The next process is refused meanwhile, and loads the data later.
func TestALockThatWasHandedOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	owner := endOwnerOnly(t, path, "inherit")
	before := contentsOf(t, filepath.Dir(path))
	spawn(t, "hold", path, "50ms").expectInUse(owner.pid())
	require.Equal(t, before, contentsOf(t, filepath.Dir(path)))
	next := spawn(t, "hold", path, patience)
	next.expect("READY")
	owner.end() // and the process that it has started
	next.expectLoaded(7, 7)
}

// endOwnerOnly kills an owner that has started another process, and leaves the
// other process alive.
func endOwnerOnly(t *testing.T, path, how string) *child {
	t.Helper()
	owner := spawn(t, "raise", path, how)
	owner.expectLoad(7, 7)
	raised := owner.expect("RAISED")[0]
	require.NoError(t, owner.cmd.Process.Kill())
	_, err := owner.cmd.Process.Wait() // cmd.Wait would close the input of both
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(int(raised), 0), "the raised process lives")
	return owner
}

// Many stores of one process share the lock. The last Close ends it.
func TestManyStoresOfOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	for range sample(2, 20) {
		stores := openMany(t, path, 20)
		loaded := 0
		for _, store := range stores {
			loaded += generation(store) / 7
		}
		require.Equal(t, 1, loaded, "the others have found the file empty")
		last := rand.N(len(stores))
		closeAllBut(t, stores, last)
		spawn(t, "hold", path).expectInUse(os.Getpid())
		stamp(stores[last], 7)
		require.NoError(t, stores[last].Close())
		next := spawn(t, "hold", path)
		next.expectLoad(7, 7)
		next.kill()
	}
}

func openMany(t *testing.T, path string, n int) []*genie.Store {
	t.Helper()
	stores, errs := make([]*genie.Store, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { stores[i], errs[i] = genie.NewStore(genie.WithPath(path)) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	return stores
}

func closeAllBut(t *testing.T, stores []*genie.Store, last int) {
	t.Helper()
	errs := make([]error, len(stores))
	var wg sync.WaitGroup
	for i, store := range stores {
		if i != last {
			wg.Go(func() { errs[i] = store.Close() })
		}
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// nobody is a user that owns nothing.
const nobody = 65534

// spawnAs is spawn for a child of another user. The test skips unless the present
// user is root. The program may lie in a folder that is closed to the other user,
// so the child runs the file that its parent has open.
func spawnAs(t *testing.T, user uint32, role, path string, args ...string) *child {
	t.Helper()
	cmd := command(limited(t), role, path, args...)
	cmd.Path = "/proc/self/exe"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	return start(t, cmd)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
}

// publicFolder returns a folder that other users reach.
func publicFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{filepath.Dir(dir), dir} {
		require.NoError(t, os.Chmod(name, 0o755))
	}
	return dir
}

// giveAway makes user the owner of the folder and of the files in it.
func giveAway(t *testing.T, dir string, user int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for _, name := range append(names, dir) {
		require.NoError(t, os.Chown(name, user, user))
	}
}

// A folder that may not be read cannot be synced, so NewStore fails. A reader needs
// only the right to search the folder.
func TestAFolderThatMayNotBeRead(t *testing.T) {
	needRoot(t)
	for _, contents := range []bool{false, true} {
		t.Run(fmt.Sprint("contents ", contents), func(t *testing.T) {
			dir := publicFolder(t)
			path := filepath.Join(dir, "b")
			if contents {
				writeGeneration(t, path, 7)
			}
			giveAway(t, dir, nobody)
			require.NoError(t, os.Chmod(dir, 0o300))
			before := contentsOf(t, dir)
			failure := spawnAs(t, nobody, "hold", path).expectFailure()
			require.Contains(t, failure, "permission denied")
			require.Contains(t, failure, "must be readable")
			after := contentsOf(t, dir)
			delete(before, "b.lock")
			delete(after, "b.lock")
			require.Equal(t, before, after)
			if contents {
				requireRead(t, nobody, path, 7)
			}
		})
	}
}

// requireRead requires that a process of user reads generation n.
func requireRead(t *testing.T, user uint32, path string, n int) {
	t.Helper()
	lines := runReader(t, user, path)
	seen := sightings("READ", lines)
	require.Len(t, seen, 5, lines)
	for _, s := range seen {
		require.Equal(t, n, s.generation)
	}
}

// runReader has a process of user read five times, and returns its lines.
func runReader(t *testing.T, user uint32, path string) []string {
	t.Helper()
	c := spawnAs(t, user, "read", path, "5")
	c.expect("READY")
	c.letGo()
	return c.end()
}

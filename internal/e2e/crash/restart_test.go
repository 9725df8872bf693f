//go:build unix

package crash_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// The new instance of a service starts while the old instance runs. It waits for the
// Close of the old instance and loads every write.
func TestOverlappingRestartsLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	old := spawn(t, "serve", path, patience, "5ms")
	old.expectLoad(0, 0)
	restarts, last := sample(5, 50), 0
	for range restarts {
		next := spawn(t, "serve", path, patience, "5ms")
		next.expect("READY")
		spin(20 * time.Millisecond)
		lines := old.terminate()
		require.Len(t, lines, 1)
		closed, ok := numbersAfter("CLOSED", lines[0])
		require.True(t, ok, lines)
		last = next.expectLoaded(int(closed[0]), int(closed[0]))
		old = next
	}
	t.Logf("%d restarts, %d writes", restarts, last)
}

// soon bounds the time in which a waiting process loads the file of an owner that
// has ended. A waiting process tries the lock every 16 ms. The bound allows for slow
// fsyncs on a busy machine, and is far below the lock timeout.
const soon = 5 * time.Second

// An owner is killed while another process waits for the file and two goroutines
// read. The waiting process loads the last backup at once. No reader gets a backup
// older than the newest that was acknowledged before the read.
func TestAKilledOwnerIsSucceededAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 1)
	r := startReaders(t, path, 2)
	owner := spawn(t, "write", path)
	acknowledged := owner.expectLoad(1, 1)
	var seen []sighting
	var waits []time.Duration
	kills := sample(8, 160)
	for range kills {
		waiter := spawn(t, "write", path, patience)
		waiter.expect("READY")
		var lines []string
		for range rand.N(5) {
			lines = append(lines, owner.next())
		}
		spin(backupTime)
		lines = append(lines, owner.kill()...)
		killed := time.Now()
		acks := sightings("ACK", lines)
		require.Len(t, acks, len(lines), lines)
		seen = append(seen, acks...)
		acknowledged = lastAck(lines, acknowledged)
		acknowledged = waiter.expectLoaded(acknowledged, acknowledged+1)
		waits = append(waits, time.Since(killed))
		owner = waiter
	}
	owner.kill()
	reads := r.end()
	require.NoError(t, ordered(slices.Concat(seen, reads)))
	slices.Sort(waits)
	require.Less(t, waits[len(waits)-1], soon)
	t.Logf("%d kills, %d backups acknowledged, %d reads; waits of %v (median) and %v (longest)",
		kills, len(seen), len(reads), waits[len(waits)/2], waits[len(waits)-1])
}

// A process that does not wait long enough gets ErrInUse, with the number of the
// owner, and changes no file.
func TestTheSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	owner := spawn(t, "hold", path)
	owner.expectLoad(7, 7)
	before := contentsOf(t, filepath.Dir(path))
	began := time.Now()
	spawn(t, "hold", path).expectInUse(owner.pid())
	spawn(t, "hold", path, "50ms").expectInUse(owner.pid())
	require.Less(t, time.Since(began), soon)
	require.NoError(t, owner.cmd.Process.Signal(syscall.SIGSTOP))
	spawn(t, "hold", path).expectInUse(owner.pid()) // a stopped process is still the owner
	require.Equal(t, before, contentsOf(t, filepath.Dir(path)))
	seen, err := look(path)
	require.NoError(t, err, "a reader needs no lock")
	require.Equal(t, 7, seen.generation)
	owner.kill()
	spawn(t, "hold", path).expectLoad(7, 7)
}

// After a Close the next process owns the file. A late Backup of the closed store
// fails while the next process lives. Later the Backup keeps a copy of the file.
func TestABackupAfterCloseFindsTheNextOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	store, err := genie.NewStore(genie.WithPath(path), genie.WithLockTimeout(0))
	require.NoError(t, err)
	stamp(store, 7)
	require.NoError(t, store.Close())
	next := spawn(t, "write", path)
	next.expectLoad(7, 7)
	next.expect("ACK")
	stamp(store, 7000)
	require.ErrorIs(t, store.Backup(), genie.ErrInUse)
	require.ErrorIs(t, store.Close(), genie.ErrInUse)
	acknowledged := lastAck(next.kill(), 8)
	seen, err := look(path)
	require.NoError(t, err)
	require.GreaterOrEqual(t, seen.generation, acknowledged)
	require.Less(t, seen.generation, 7000)

	require.NoError(t, store.Backup(), "the owner has ended")
	require.NoError(t, store.Close())
	late, err := look(path)
	require.NoError(t, err)
	require.Equal(t, 7000, late.generation)
	require.NoError(t, os.Rename(path+".prev", path+".copy"))
	kept, err := look(path + ".copy")
	require.NoError(t, err)
	require.Equal(t, seen.generation, kept.generation)
}

// If a program removes the lock's file, a second process can own the path. The next
// backup of the first process fails and changes no file.
func TestARemovedLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	store, err := genie.NewStore(genie.WithPath(path), genie.WithLockTimeout(0))
	require.NoError(t, err)
	stamp(store, 7)
	require.NoError(t, store.Backup())
	require.NoError(t, os.Remove(path+".lock"))
	next := spawn(t, "hold", path)
	next.expectLoad(7, 7)
	before := contentsOf(t, filepath.Dir(path))
	stamp(store, 8)
	require.ErrorIs(t, store.Backup(), genie.ErrInUse)
	require.Equal(t, before, contentsOf(t, filepath.Dir(path)))
	next.kill()
	require.NoError(t, store.Close())
	spawn(t, "hold", path).expectLoad(8, 8)
}

// A store that the program has forgotten does not keep other processes from the
// file.
func TestAForgottenStoreLetsGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	require.Equal(t, 7, generation(newStore(t, path)))
	next := spawn(t, "hold", path, patience)
	next.expect("READY")
	loaded := make(chan string, 1) // the goroutine must end even if the test has failed
	go func() { loaded <- next.next() }()
	for {
		runtime.GC()
		select {
		case line := <-loaded:
			require.Contains(t, line, "LOADED 7 0 ")
			return
		default:
		}
	}
}

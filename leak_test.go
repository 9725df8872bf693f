package genie

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
	"github.com/windevkay/forge/genie/internal/trie"
)

// Sections of this file, which needs the innards of the package:
//
//	Surroundings   TestMain, a disk with a gate, a bubble with a fake clock
//	Leaks          no goroutine is left, and a goroutine that is left is seen
//	Schedule       ticks, stops, the channel of errors
//	Ownership      two processes and one file; a store that only reads
//	Faults         every disk operation fails in turn
//	Journal        steps, and power cuts at every operation around them
//	Giving way     a backup shares its processor
//	Protocol       the mailbox and the owner; the shape of the source

// Surroundings.

// SourceFolder is the folder of the package, where the tests started.
var SourceFolder string

// TestMain gives the tests a home folder and a working folder of their own, and ends
// with a search for goroutines that a test has left behind. No option of goleak
// ignores any.
func TestMain(m *testing.M) {
	if os.Getenv(OwnerVariable) != "" {
		own(os.Args[1])
		return
	}
	folder, err := os.MkdirTemp("", "genie-test-")
	if err == nil {
		SourceFolder, err = os.Getwd()
	}
	flag.Parse()
	// A fuzzer keeps failing inputs in the working folder, so that stays.
	if err == nil && flag.Lookup("test.fuzz").Value.String() == "" {
		err = os.Chdir(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("HOME", folder)
	os.Setenv("USERPROFILE", folder) // Windows
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(folder)
		os.Exit(code)
	}))
}

// OwnerVariable in the environment makes the test program a process that owns the
// file of its first argument.
const OwnerVariable = "GENIE_TEST_OWNER"

// own owns the file at path, with one entry, until standard input ends.
func own(path string) {
	store, err := NewStore(WithPath(path))
	if err == nil {
		store.Set("city", "Oslo")
		err = store.Backup()
	}
	if err == nil {
		fmt.Println("owner")
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A gatedDisk is a disk in memory with a gate in front of every backup.
type gatedDisk struct {
	*durabletest.Process
	disk    *durabletest.Disk
	backups atomic.Int64  // begun, successful or not
	gate    chan struct{} // nil: open; else each backup waits for one receive
	failure atomic.Pointer[error]

	failUnlock atomic.Bool // the next Close of the lock's file fails
}

const storePath = "/disk/store.json"

func newGatedDisk(gate chan struct{}) *gatedDisk {
	disk := durabletest.NewDisk()
	return &gatedDisk{Process: disk.Process(), disk: disk, gate: gate}
}

// watch counts and gates the backups from now on: a load, too, makes a temporary
// file. A backup makes one, and then another if it copies a foreign file.
func (d *gatedDisk) watch() {
	copying := false
	d.Before(func(op, name string) {
		switch {
		case op == "Close" && name == storePath+".lock" && d.failUnlock.Load():
			d.FailAt(d.Ops()-1, syscall.EIO, false)
		case op == "Rename" && name == storePath:
			copying = false
		case op == "Open" && name == storePath:
			copying = true // to keep the file
		case op == "Create" && !copying:
			d.backups.Add(1)
			if d.gate != nil {
				<-d.gate
			}
			if err := d.failure.Load(); err != nil {
				d.FailAt(d.Ops()-1, *err, false)
			}
		}
	})
}

// failWith has every backup fail from now on, until heal.
func (d *gatedDisk) failWith(err error) { d.failure.Store(&err) }

func (d *gatedDisk) heal() { d.failure.Store(nil) }

// release lets one backup through the gate, and fails if none comes within a day
// of the fake clock: ticks would keep that clock going for ever.
func (d *gatedDisk) release(t *testing.T) {
	t.Helper()
	select {
	case d.gate <- struct{}{}:
	case <-time.After(24 * time.Hour):
		t.Fatal("no backup is waiting at the gate")
	}
}

func (d *gatedDisk) text(t *testing.T) string {
	text, exists := d.disk.ReadFile(storePath)
	require.True(t, exists)
	return string(text)
}

// open returns a store on disk.
func open(t testing.TB, disk durable.FS) *Store {
	t.Helper()
	store, err := newStore(disk, settings{path: storePath})
	require.NoError(t, err)
	if gated, ok := disk.(*gatedDisk); ok {
		gated.watch()
	}
	return store
}

// inBubble runs test with a fake clock and looks for goroutines it left behind:
// twice, for the bubble itself fails when one outlives the test.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	defer goleak.VerifyNone(t)
	synctest.Test(t, test)
}

// advance lets the fake clock go on by d and everything that is due then happen.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Soon gives other goroutines turns until the condition holds, and fails after a
// minute: a test must not hang.
func Soon(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for began := time.Now(); !condition(); runtime.Gosched() {
		require.Less(t, time.Since(began), time.Minute, "waiting for %s", what)
	}
}

// Collected collects garbage until a cleanup has closed the channel, within the bound of Soon.
func Collected(t testing.TB, what string, closed <-chan struct{}) {
	t.Helper()
	Soon(t, what, func() bool {
		runtime.GC()
		select {
		case <-closed:
			return true
		default:
			return false
		}
	})
}

// WaitSoon waits for the goroutines of wg, within the bound of Soon.
func WaitSoon(t testing.TB, wg *sync.WaitGroup) {
	t.Helper()
	var ended atomic.Bool
	go func() { wg.Wait(); ended.Store(true) }()
	Soon(t, "the end of every goroutine", ended.Load)
}

// requireClosed fails unless errs is closed and empty.
func requireClosed(t *testing.T, errs <-chan error) {
	t.Helper()
	select {
	case err, open := <-errs:
		require.NoError(t, err)
		require.False(t, open)
	default:
		t.Fatal("the channel is open")
	}
}

// Leaks.

func TestStopAutoBackupLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	disk := newGatedDisk(nil)
	store := open(t, disk)
	store.Set("k", "v")
	store.Get("k")
	store.StartAutoBackup(time.Millisecond)
	Soon(t, "three backups", func() bool { // in real time
		store.Set("k", strconv.FormatInt(disk.backups.Load(), 10))
		return disk.backups.Load() >= 3
	})
	store.StopAutoBackup()
	goleak.VerifyNone(t) // no option, no Close

	store.Set("k", "still works")
	value, _ := store.Get("k")
	require.Equal(t, "still works", value)
}

// The detector detects: a goroutine that was left behind is found.
func TestLeakIsSeen(t *testing.T) {
	forgotten := make(chan struct{})
	go func() { <-forgotten }()
	require.ErrorContains(t, goleak.Find(), "TestLeakIsSeen")
	close(forgotten)
	goleak.VerifyNone(t)
}

// The documented quick start, with and without its manual Backup, in functions so
// short that the reader of the errors often asks for them only after the stop.
func TestQuickStartLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2} {
		for _, manual := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d processors, manual backup %v", procs, manual), func(t *testing.T) {
				runtime.GOMAXPROCS(procs)
				var readers sync.WaitGroup
				for range 1000 {
					quickStart(t, &readers, manual)
				}
				WaitSoon(t, &readers)
			})
		}
	}
}

// quickStart is Example with a disk in memory and a count of its goroutines.
func quickStart(t *testing.T, readers *sync.WaitGroup, manual bool) {
	store := open(t, newGatedDisk(nil))
	store.Set("username", "alice")
	store.Get("username")
	store.StartAutoBackup(5 * time.Minute)
	defer store.StopAutoBackup()
	readers.Add(1)
	go func() {
		defer readers.Done()
		for err := range store.AutoBackupErrors() {
			t.Error(err)
		}
	}()
	if manual {
		require.NoError(t, store.Backup())
	}
}

// The reader that quickStart counts is found if it never ends, as before the rule
// that the channel stays closed.
func TestReaderThatNeverEndsIsSeen(t *testing.T) {
	store := open(t, newGatedDisk(nil))
	errs := store.AutoBackupErrors() // of a schedule that is not started
	go func() {
		for range errs {
		}
	}()
	require.ErrorContains(t, goleak.Find(), "TestReaderThatNeverEndsIsSeen")
	store.StopAutoBackup()
	goleak.VerifyNone(t)
}

// Schedule.

func TestOneBackupEachInterval(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		store.StartAutoBackup(time.Minute)
		advance(59 * time.Second)
		require.Zero(t, disk.backups.Load(), "the first is one interval away")
		advance(time.Second)
		for n := range int64(10) {
			require.Equal(t, n+1, disk.backups.Load())
			store.Set("k", strconv.FormatInt(n, 10))
			advance(time.Minute)
		}
		store.StartAutoBackup(time.Second) // changes nothing while it runs
		store.Set("k", "v")
		advance(time.Minute)
		require.Equal(t, int64(12), disk.backups.Load())
		store.StopAutoBackup()

		store.Set("k", "after")
		advance(10 * time.Minute) // goleak sees no timers: this does
		require.Equal(t, int64(12), disk.backups.Load())
	})
}

// The check above can fail: a schedule that was not stopped goes on.
func TestForgottenScheduleIsSeen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		store.StartAutoBackup(time.Minute)
		synctest.Wait()
		forgotten := store.state.schedule
		store.state.schedule = newSchedule()
		store.StopAutoBackup()
		advance(10 * time.Minute)
		require.NotZero(t, disk.backups.Load())
		forgotten.timer.Stop()
	})
}

func TestAutoBackupAgainAfterStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		for round := range int64(3) {
			store.StartAutoBackup(time.Minute)
			errs := store.AutoBackupErrors()
			store.Set("k", strconv.FormatInt(round, 10))
			advance(time.Minute)
			require.Equal(t, round+1, disk.backups.Load())
			store.StopAutoBackup()
			store.StopAutoBackup() // twice
			requireClosed(t, errs)
			require.Equal(t, errs, store.AutoBackupErrors(), "the closed channel stays until the next start")
		}
	})
}

// Before the first start, the channel is that of the first schedule. After a stop,
// with or without a start before it, the channel is closed.
func TestChannelOfErrorsAroundAStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		errs := store.AutoBackupErrors()
		disk.failWith(syscall.EIO)
		store.StartAutoBackup(time.Minute)
		require.Equal(t, errs, store.AutoBackupErrors())
		advance(time.Minute)
		require.ErrorIs(t, <-errs, syscall.EIO)
		store.StopAutoBackup()
		requireClosed(t, errs)

		store = open(t, newGatedDisk(nil))
		store.StopAutoBackup()
		requireClosed(t, store.AutoBackupErrors())
		store.StartAutoBackup(0)
		errs = store.AutoBackupErrors()
		require.ErrorIs(t, <-errs, ErrInterval, "a start makes a new channel, even if the interval is wrong")
		store.StartAutoBackup(time.Minute)
		require.Equal(t, errs, store.AutoBackupErrors())
		store.StopAutoBackup()
		requireClosed(t, errs)
	})
}

func TestNothingNewNothingWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		store.StartAutoBackup(time.Minute)
		defer store.StopAutoBackup()
		tick := func(backups int64, because string) {
			t.Helper()
			before := disk.backups.Load()
			advance(time.Minute)
			require.Equal(t, before+backups, disk.backups.Load(), because)
		}
		tick(1, "no backup has succeeded yet")
		tick(0, "nothing has changed")
		store.Delete("missing")
		_ = store.Update(func(tx *Tx) error { tx.Set("k", "v"); return errors.New("no") })
		_ = store.Update(func(tx *Tx) error { tx.Get("k"); return nil })
		tick(0, "that changed nothing")
		_ = store.Update(func(tx *Tx) error { tx.Set("k", "v"); return nil })
		tick(1, "an update")
		store.Delete("k")
		tick(1, "a delete")
		before := disk.backups.Load()
		require.NoError(t, store.Backup())
		require.Equal(t, before+1, disk.backups.Load(), "Backup always writes")
		tick(0, "Backup has written it")
		require.NoError(t, disk.Process.Remove(storePath))
		tick(1, "the file is gone")
		disk.disk.WriteFile(storePath, []byte(`{"from":"elsewhere"}`))
		tick(1, "another program has written the file")
		store.Set("k", "v")
		disk.failWith(syscall.EIO)
		tick(1, "fails")
		tick(1, "the failed backup is tried again")
		disk.heal()
		tick(1, "succeeds")
		tick(0, "nothing has changed")
	})
}

func TestAutoBackupErrors(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		disk.failWith(&os.PathError{Op: "open", Path: "x", Err: syscall.ENOSPC})
		errs := store.AutoBackupErrors()
		require.Equal(t, 10, cap(errs))
		store.StartAutoBackup(time.Minute)
		advance(14 * time.Minute)
		require.Equal(t, int64(14), disk.backups.Load(), "backups go on although no goroutine reads the errors")
		store.StopAutoBackup()
		n := 0
		for err := range errs {
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.ErrorContains(t, err, "genie: back up "+storePath)
			n++
		}
		require.Equal(t, 10, n, "further ones are dropped")
	})
}

func TestIntervalMustBePositive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		errs := store.AutoBackupErrors()
		for _, interval := range []time.Duration{0, -time.Second} {
			store.StartAutoBackup(interval)
			err := <-errs
			require.ErrorIs(t, err, ErrInterval)
			require.ErrorContains(t, err, interval.String())
		}
		advance(time.Hour)
		require.Zero(t, disk.backups.Load(), "nothing was started")
		store.StartAutoBackup(time.Minute)
		store.StartAutoBackup(0)
		require.ErrorIs(t, <-errs, ErrInterval)
		advance(3 * time.Minute)
		require.Equal(t, int64(1), disk.backups.Load(), "the schedule goes on")
		store.StopAutoBackup()
	})
}

// A schedule of nanoseconds would take a processor for itself.
func TestIntervalHasAFloor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		store.StartAutoBackup(1)
		for n := range int64(5) {
			store.Set("k", strconv.FormatInt(n, 10))
			advance(time.Millisecond - 1)
			require.Equal(t, n, disk.backups.Load())
			advance(1)
			require.Equal(t, n+1, disk.backups.Load())
		}
		store.StopAutoBackup()
	})
}

// The first tick after a load saves, although nothing was written since: afterwards
// the file has the contents again, and the hand-over file is gone.
func TestFirstTickAfterALoadSaves(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		disk.disk.WriteFile(storePath, []byte(`{"k":"v"}`))
		store := open(t, disk)
		require.Empty(t, disk.text(t))
		store.StartAutoBackup(time.Minute)
		advance(time.Minute)
		require.Equal(t, "{\"k\":\"v\"}\n", disk.text(t))
		store.StopAutoBackup()
	})
}

func TestVersionCountsTheWritesThatStand(t *testing.T) {
	store := open(t, newGatedDisk(nil))
	version := func() uint64 {
		store.Len() // the owner has applied every command before
		return store.state.version
	}
	store.Set("a", "1")
	require.Equal(t, uint64(1), version())
	store.Delete("missing")
	require.Equal(t, uint64(1), version())
	store.Delete("a")
	require.Equal(t, uint64(2), version())
	write := func(tx *Tx) {
		tx.Set("a", "1")
		tx.Set("b", "2")
		tx.Delete("missing")
	}
	_ = store.Update(func(tx *Tx) error { write(tx); return syscall.EIO })
	require.Equal(t, uint64(2), version())
	_ = store.Update(func(tx *Tx) error { write(tx); return nil })
	require.Equal(t, uint64(4), version())
}

// The last error of a run comes before its channel is closed, although the stop
// was asked for before it; and the store works meanwhile.
func TestStopWaitsForTheBackupInFlight(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(make(chan struct{}))
		store := open(t, disk)
		errs := store.AutoBackupErrors()
		store.StartAutoBackup(time.Minute)
		advance(5 * time.Minute) // ticks during the backup come to nothing
		require.Equal(t, int64(1), disk.backups.Load())

		var stopped atomic.Int64
		for range 3 {
			go func() {
				store.StopAutoBackup()
				stopped.Add(1)
			}()
		}
		advance(time.Hour)
		require.Zero(t, stopped.Load())
		store.Set("k", "v")
		require.Equal(t, 1, store.Len(), "the store works meanwhile")
		select {
		case <-errs:
			t.Fatal("closed before the backup has ended")
		default:
		}

		disk.failWith(syscall.EIO)
		disk.release(t)
		synctest.Wait()
		require.Equal(t, int64(3), stopped.Load())
		require.ErrorIs(t, <-errs, syscall.EIO)
		_, open := <-errs
		require.False(t, open)
	})
}

// A run that is stopped and the next one do not mix.
func TestStartWhileStopWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(make(chan struct{}))
		store := open(t, disk)
		old := store.AutoBackupErrors()
		store.StartAutoBackup(time.Minute)
		advance(time.Minute)
		done := make(chan struct{})
		go func() { store.StopAutoBackup(); close(done) }()
		synctest.Wait()

		store.StartAutoBackup(time.Minute)
		next := store.AutoBackupErrors()
		require.NotEqual(t, old, next)
		disk.failWith(syscall.EIO)
		disk.release(t)
		<-done
		require.ErrorIs(t, <-old, syscall.EIO, "the old run's error")
		advance(time.Minute)
		disk.release(t)
		require.ErrorIs(t, <-next, syscall.EIO, "the next run's own")
		store.StopAutoBackup()
	})
}

// A write during a save is newer than the save's view: the next tick saves it.
func TestWriteDuringASaveIsSavedByTheNextTick(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(make(chan struct{}))
		store := open(t, disk)
		store.Set("k", "before")
		store.StartAutoBackup(time.Minute)
		advance(time.Minute)
		store.Set("k", "during")
		disk.release(t)
		disk.release(t)
		synctest.Wait()
		require.Equal(t, "{\"k\":\"during\"}\n", disk.text(t))
		store.StopAutoBackup()
	})
}

// A stop finds its tick in the mailbox already: the timer has fired, and the tick
// must not be waited for a second time, nor start a save.
func TestStopBehindATick(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		store.StartAutoBackup(time.Minute)
		store.Set("k", "v")
		stopped := make(chan struct{})
		require.NoError(t, store.Update(func(*Tx) error { // the owner waits here
			go func() { store.StopAutoBackup(); close(stopped) }()
			advance(2 * time.Minute)
			return nil
		}))
		<-stopped
		require.Zero(t, disk.backups.Load(), "the stop came first")
		requireClosed(t, store.AutoBackupErrors())
	})
}

// Backup calls that come during a save share the next, which is newer than any
// of them.
func TestBackupsShareTheNextSave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(make(chan struct{}))
		store := open(t, disk)
		done := make(chan error)
		back := func() { done <- store.Backup() }
		store.Set("k", "first")
		go back()
		synctest.Wait()
		for i := range 5 {
			store.Set("k", strconv.Itoa(i))
			go back()
			synctest.Wait()
		}
		disk.release(t)
		require.NoError(t, <-done)
		require.Equal(t, "{\"k\":\"first\"}\n", disk.text(t))

		disk.release(t)
		for range 5 {
			require.NoError(t, <-done)
		}
		require.Equal(t, "{\"k\":\"4\"}\n", disk.text(t))
		require.Equal(t, int64(2), disk.backups.Load())
	})
}

// Start, Stop, Close, Backup and ticks of a microsecond, in real time.
func TestStressOfStartAndStop(t *testing.T) {
	defer goleak.VerifyNone(t)
	disk := newGatedDisk(nil)
	store := open(t, disk)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 150 {
				store.Set(strconv.Itoa(g), strconv.Itoa(i))
				store.StartAutoBackup(time.Microsecond)
				switch i % 4 {
				case 0:
					errs := store.AutoBackupErrors()
					store.StopAutoBackup()
					for range errs { // closed by now, or by a later stop
					}
				case 1:
					require.NoError(t, store.Backup())
				case 2:
					require.NoError(t, store.Close())
				default:
					store.Get(strconv.Itoa(g))
				}
			}
			store.StopAutoBackup()
		})
	}
	WaitSoon(t, &wg)
	store.StopAutoBackup()
	goleak.VerifyNone(t)
}

// Ownership. The tests have two processes on one disk.

func TestOneProcessOwnsTheFile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := durabletest.NewDisk()
		disk.WriteFile(storePath, []byte(`{"k":"v"}`))
		first := open(t, disk.Process())

		began := time.Now()
		_, err := newStore(disk.Process(), settings{path: storePath, lockTimeout: time.Second})
		require.ErrorIs(t, err, ErrInUse)
		require.ErrorContains(t, err, "genie: open "+storePath)
		require.ErrorContains(t, err, storePath+".lock")
		require.ErrorContains(t, err, strconv.Itoa(os.Getpid()))
		require.Equal(t, time.Second, time.Since(began))

		began = time.Now()
		_, err = newStore(disk.Process(), settings{path: storePath})
		require.ErrorIs(t, err, ErrInUse)
		require.Zero(t, time.Since(began), "a timeout of 0 fails at once")

		require.Equal(t, map[string]string{"k": "v"}, first.Snapshot())
		require.NoError(t, first.Close())
	})
}

// A process that waits while its predecessor closes has all that the predecessor had.
func TestRestartHandsOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := durabletest.NewDisk()
		first := open(t, disk.Process())
		next := make(chan *Store)
		go func() {
			store, err := newStore(disk.Process(), settings{path: storePath, lockTimeout: time.Minute})
			require.NoError(t, err)
			next <- store
		}()
		for i := range 100 {
			time.Sleep(10 * time.Millisecond)
			first.Set(strconv.Itoa(i), "v")
		}
		require.NoError(t, first.Close())
		second := <-next
		require.Equal(t, first.Snapshot(), second.Snapshot())
		require.NoError(t, second.Close())
	})
}

// After its Close, a store saves again only if it owns the file again, and a second
// Close does not touch the file of its successor.
func TestBackupAfterClose(t *testing.T) {
	disk := durabletest.NewDisk()
	first := open(t, disk.Process())
	first.Set("k", "first")
	require.NoError(t, first.Close())

	second := open(t, disk.Process())
	second.Set("k", "second")
	require.NoError(t, first.Close(), "without a write between, nothing is to be done")
	first.Set("k", "first again")
	require.ErrorIs(t, first.Backup(), ErrInUse)
	require.ErrorIs(t, first.Close(), ErrInUse)
	require.NoError(t, second.Close())
	require.NoError(t, second.Close())
	text, _ := disk.ReadFile(storePath)
	require.Equal(t, "{\"k\":\"second\"}\n", string(text))

	require.NoError(t, first.Backup(), "the file is free")
	_, err := newStore(disk.Process(), settings{path: storePath})
	require.ErrorIs(t, err, ErrInUse, "the Backup has taken the lock")
	previous, _ := disk.ReadFile(storePath + ".prev")
	require.Equal(t, "{\"k\":\"second\"}\n", string(previous), "the successor's backup is kept")
	require.NoError(t, first.Close())
	require.NoError(t, open(t, disk.Process()).Close())
}

// A Close whose backup fails lets go of the file all the same: the data that was
// loaded is still there for the next process.
func TestFailedCloseLetsGo(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(storePath, []byte(`{"k":"old"}`))
	process := disk.Process()
	store := open(t, process)
	store.Set("k", "new")
	process.Before(func(op, _ string) {
		if op == "Write" {
			process.FailAt(process.Ops()-1, syscall.ENOSPC, false)
		}
	})
	require.ErrorIs(t, store.Close(), syscall.ENOSPC)
	next := open(t, disk.Process())
	require.Equal(t, map[string]string{"k": "old"}, next.Snapshot())
	require.NoError(t, next.Close())
}

// A load that fails lets go of the file.
func TestFailedLoadLetsGo(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(storePath, []byte(`{"k":`))
	_, err := newStore(disk.Process(), settings{path: storePath})
	require.ErrorIs(t, err, ErrCorrupt)
	disk.WriteFile(storePath, []byte(`{"k":"v"}`))
	store := open(t, disk.Process())
	require.Equal(t, 1, store.Len())
	require.NoError(t, store.Close())
}

// An error of letting go is the Close's. The backup of a Backup call that shares the
// save has succeeded.
func TestErrorOfLettingGo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(make(chan struct{}))
		store := open(t, disk)
		first, backup, closed := make(chan error), make(chan error), make(chan error)
		store.Set("k", "v")
		go func() { first <- store.Backup() }()
		synctest.Wait()
		go func() { backup <- store.Backup() }()
		go func() { closed <- store.Close() }()
		synctest.Wait()
		disk.release(t)
		require.NoError(t, <-first)
		disk.failUnlock.Store(true)
		disk.release(t)
		require.NoError(t, <-backup)
		err := <-closed
		require.ErrorIs(t, err, syscall.EIO)
		require.ErrorContains(t, err, "genie: close "+storePath)
	})
}

// Another program empties the file while a load has read the file but not yet moved
// it: the store must not have contents that no file has.
func TestFileEmptiedDuringTheLoad(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(storePath, []byte(`{"k":"v"}`))
	process := disk.Process()
	emptied := false
	process.Before(func(op, _ string) {
		if op == "Create" && !emptied {
			emptied = true
			disk.WriteFile(storePath, nil)
		}
	})
	store := open(t, process)
	require.True(t, emptied)
	require.Zero(t, store.Len())
	require.NoError(t, store.Close())
}

// The garbage collector lets go of the file of a forgotten store.
func TestForgottenStoreLetsGo(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(storePath, []byte(`{"k":"v"}`))
	open(t, disk.Process()).Get("k")
	var next *Store
	Soon(t, "the lock of a forgotten store", func() bool {
		runtime.GC()
		var err error
		next, err = newStore(disk.Process(), settings{path: storePath})
		return err == nil
	})
	require.Equal(t, map[string]string{"k": "v"}, next.Snapshot())
	require.NoError(t, next.Close())
}

// A store that began empty and was never written to has nothing to save. Other
// stores of the process may have saved something meanwhile.
func TestUntouchedStoreReplacesNothing(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(storePath, []byte(`{"k":"v"}`))
	process := disk.Process()
	first, second := open(t, process), open(t, process)
	require.Zero(t, second.Len(), "the first store has loaded the contents")
	require.NoError(t, second.Backup())
	text, _ := disk.ReadFile(storePath)
	require.Empty(t, text, "the hand-over file has the contents")

	first.Set("k", "new")
	require.NoError(t, first.Backup())
	require.NoError(t, second.Backup())
	require.NoError(t, second.Close())
	text, _ = disk.ReadFile(storePath)
	require.Equal(t, "{\"k\":\"new\"}\n", string(text))
	require.NotContains(t, disk.Names(), storePath+".prev")

	third := open(t, process)
	require.Equal(t, 1, third.Len())
	third.Delete("k")
	require.NoError(t, third.Backup(), "a store that was emptied saves that")
	text, _ = disk.ReadFile(storePath)
	require.Equal(t, "{}\n", string(text))
	require.NoError(t, first.Close())
	require.NoError(t, third.Close())
}

func TestReadOnlyTouchesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := durabletest.NewDisk()
		_, err := newStore(disk.Process(), settings{path: storePath, readOnly: true})
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorContains(t, err, "genie: load "+storePath)

		disk.WriteFile(storePath, []byte(`{"k":"v"}`))
		owner := open(t, disk.Process()) // the contents are in the hand-over file now
		before := disk.Fingerprint()
		process := disk.Process()
		store, err := newStore(process, settings{path: storePath, readOnly: true})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"k": "v"}, store.Snapshot())
		store.Set("k", "in memory")
		require.ErrorIs(t, store.Backup(), ErrReadOnly)
		store.StartAutoBackup(time.Minute)
		require.ErrorIs(t, <-store.AutoBackupErrors(), ErrReadOnly)
		advance(time.Hour)
		require.NoError(t, store.Close())
		requireClosed(t, store.AutoBackupErrors())
		require.Equal(t, before, disk.Fingerprint())
		for _, op := range process.OpNames() {
			require.Regexp(t, "^(Resolve|Stat|Open|Fstat|Read|Close) ", op+" ")
		}

		owner.Set("k", "backed up")
		require.NoError(t, owner.Backup())
		require.Equal(t, "in memory", store.Snapshot()["k"], "the store does not follow later backups")
		store, err = newStore(disk.Process(), settings{path: storePath, readOnly: true})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"k": "backed up"}, store.Snapshot())
		require.NoError(t, owner.Close())
	})
}

// Faults.

// Every operation on the disk fails in turn, once or from there on, until none is
// left to fail. A backup that is reported as successful is on the disk; after a
// failure the disk has the old backup or the new one; memory has not changed.
func TestEveryFaultIsReported(t *testing.T) {
	for name, use := range map[string]func(store *Store) error{
		"Backup": (*Store).Backup,
		"Close":  (*Store).Close,
		"automatic": func(store *Store) error {
			errs := store.AutoBackupErrors()
			store.StartAutoBackup(time.Minute)
			advance(time.Minute)
			store.StopAutoBackup()
			return <-errs
		},
	} {
		for _, sticky := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sticky %v", name, sticky), func(t *testing.T) {
				faults := 0
				for n, fired := 0, true; fired; n++ {
					inBubble(t, func(t *testing.T) { fired = sweepOnce(t, use, n, sticky) })
					faults++
				}
				require.Greater(t, faults, 25)
				t.Logf("%d faults", faults-1)
			})
		}
	}
}

// sweepOnce loads, uses and reloads a store on a disk whose n-th operation fails,
// and reports whether there was an n-th.
func sweepOnce(t *testing.T, use func(*Store) error, n int, sticky bool) (fired bool) {
	const before, after = "{\"k\":\"old\"}\n", "{\"k\":\"new\"}\n"
	disk := durabletest.NewDisk()
	disk.WriteFile(storePath, []byte(before))
	process := disk.Process()
	process.FailAt(n, syscall.EIO, sticky)

	store, err := newStore(process, settings{path: storePath})
	if err != nil {
		require.ErrorIs(t, err, syscall.EIO)
		require.Nil(t, store)
		require.Equal(t, map[string]string{"k": "old"}, restarted(t, disk, process))
		return true
	}
	store.Set("k", "new")
	err = use(store)
	text, _ := disk.ReadFile(storePath)
	if err == nil {
		require.Equal(t, after, string(text))
	} else {
		require.ErrorIs(t, err, syscall.EIO)
		require.Regexp(t, "^genie: (back up|close) "+storePath, err.Error())
		require.Contains(t, []string{"", before, after}, string(text))
	}
	require.Equal(t, map[string]string{"k": "new"}, store.Snapshot(), "memory is intact")

	fired = process.Ops() > n
	process.Heal()
	require.NoError(t, store.Backup(), "the next one works")
	require.Equal(t, map[string]string{"k": "new"}, restarted(t, disk, process))
	return fired
}

// restarted kills process and returns what the next one loads.
func restarted(t *testing.T, disk *durabletest.Disk, process *durabletest.Process) map[string]string {
	process.Kill()
	store := open(t, disk.Process())
	for _, name := range disk.Names() {
		require.NotContains(t, name, ".tmp-")
	}
	return store.Snapshot()
}

// A save that fails half way leaves no temporary file.
func TestFailedSaveLeavesNoTemporaryFile(t *testing.T) {
	disk := newGatedDisk(nil)
	store := open(t, disk)
	store.Set("k", "v")
	disk.Before(func(op, _ string) {
		if op == "Write" {
			disk.FailAt(disk.Ops()-1, syscall.ENOSPC, false)
		}
	})
	require.ErrorIs(t, store.Backup(), syscall.ENOSPC)
	for _, name := range disk.disk.Names() {
		require.NotContains(t, name, ".tmp-")
	}
}

// Journal.

// openJournal returns a store with a journal on disk.
func openJournal(t testing.TB, disk durable.FS) *Store {
	t.Helper()
	store, err := newStore(disk, settings{path: storePath, journal: true})
	require.NoError(t, err)
	return store
}

// syncedJournal returns a store with a journal on a disk of its own, with one entry that
// is synced: the file is live.
func syncedJournal(t *testing.T) (*gatedDisk, *Store) {
	t.Helper()
	disk := newGatedDisk(nil)
	store := openJournal(t, disk)
	store.Set("a", "1")
	require.NoError(t, store.Sync())
	return disk, store
}

// linesOf returns the lines of the file on disk.
func linesOf(t *testing.T, disk *durabletest.Disk) []string {
	t.Helper()
	text, exists := disk.ReadFile(storePath)
	require.True(t, exists)
	return slices.Collect(strings.Lines(string(text)))
}

func TestSyncAppendsAStep(t *testing.T) {
	disk := newGatedDisk(nil)
	store := openJournal(t, disk)
	store.Set("a", "1")
	require.NoError(t, store.Sync()) // the first writes the whole file
	require.Equal(t, []string{"{\"a\":\"1\"}\n"}, linesOf(t, disk.disk))
	disk.watch()
	store.Set("a", "2")
	store.Set("b", "3")
	store.Delete("missing")
	require.NoError(t, store.Sync())
	store.Delete("b")
	require.NoError(t, store.Sync())
	require.NoError(t, store.Sync()) // has nothing to write
	store.Set("a", "2")
	require.NoError(t, store.Sync()) // neither: the value is the same
	lines := linesOf(t, disk.disk)
	require.Len(t, lines, 3)
	require.Contains(t, lines[1], `{"step":1,`)
	require.Contains(t, lines[2], `"set":{},"delete":["b"],`)
	require.Zero(t, disk.backups.Load())
	require.Equal(t, map[string]string{"a": "2"}, afterCrash(t, disk.disk))
	require.NoError(t, store.Close())
	require.Equal(t, []string{"{\"a\":\"2\"}\n"}, linesOf(t, disk.disk), "plain after Close")
}

// afterCrash returns what a process loads that starts after a power cut which keeps
// the least.
func afterCrash(t *testing.T, disk *durabletest.Disk) map[string]string {
	t.Helper()
	for image := range disk.Crashes() {
		store := open(t, image.Process())
		return store.Snapshot()
	}
	return nil
}

// A store that began empty and was never written to has nothing to append to and
// nothing to save. Its Syncs return, and so do those that come during a Close.
func TestSyncOfAnUntouchedStore(t *testing.T) {
	inBubble(t, func(t *testing.T) { // a Sync that never returns would end the bubble
		disk := newGatedDisk(nil)
		store := openJournal(t, disk)
		require.NoError(t, store.Sync())
		require.NoError(t, store.Sync())
		require.Equal(t, []string{"{}\n"}, linesOf(t, disk.disk))
		require.NoError(t, store.Close())
		require.NoError(t, store.Sync())
	})
}

func TestSyncWithoutAJournalIsABackup(t *testing.T) {
	disk := newGatedDisk(nil)
	store := open(t, disk)
	store.Set("a", "1")
	disk.watch()
	require.NoError(t, store.Sync())
	store.Set("a", "2")
	require.NoError(t, store.Sync())
	require.Equal(t, []string{"{\"a\":\"2\"}\n"}, linesOf(t, disk.disk))
	require.EqualValues(t, 2, disk.backups.Load())
}

// A store without the option reads steps, and its next backup is plain.
func TestStepsAreReadWithoutTheOption(t *testing.T) {
	disk, store := syncedJournal(t)
	store.Set("a", "2")
	require.NoError(t, store.Sync())
	disk.Kill()

	process := disk.disk.Process()
	reader, err := newStore(process, settings{path: storePath, readOnly: true})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "2"}, reader.Snapshot())
	plain := open(t, process)
	require.Equal(t, map[string]string{"a": "2"}, plain.Snapshot())
	require.NoError(t, plain.Backup())
	require.Equal(t, []string{"{\"a\":\"2\"}\n"}, linesOf(t, disk.disk))
}

func TestTicksWriteSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := openJournal(t, disk)
		store.StartAutoBackup(time.Second)
		time.Sleep(2500 * time.Millisecond)
		text, _ := disk.disk.ReadFile(storePath)
		require.Empty(t, text, "nothing was written to the store")
		for i := range 3 {
			store.Set("n", strconv.Itoa(i))
			time.Sleep(2 * time.Second) // a tick with the write, and one without
		}
		lines := linesOf(t, disk.disk)
		require.Len(t, lines, 3)
		require.Contains(t, lines[2], `"set":{"n":"2"}`)
		require.NoError(t, store.Close())
	})
}

// A file that another program has changed is kept, and the next step is a whole file.
func TestAStepInAFileThatIsNotOurs(t *testing.T) {
	for name, change := range map[string]func(*durabletest.Disk){
		"replaced": func(d *durabletest.Disk) { d.WriteFile(storePath, []byte(`{"editor":"1"}`)) },
		"appended": func(d *durabletest.Disk) { d.Append(storePath, "x") },
		"emptied":  func(d *durabletest.Disk) { d.Truncate(storePath) },
	} {
		t.Run(name, func(t *testing.T) {
			disk, store := syncedJournal(t)
			change(disk.disk)
			there, _ := disk.disk.ReadFile(storePath)
			store.Set("a", "2")
			require.NoError(t, store.Sync())
			require.Equal(t, []string{"{\"a\":\"2\"}\n"}, linesOf(t, disk.disk))
			if len(there) > 0 {
				kept, _ := disk.disk.ReadFile(storePath + ".prev")
				require.Equal(t, string(there), string(kept))
			}
			store.Set("a", "3")
			require.NoError(t, store.Sync())
			require.Len(t, linesOf(t, disk.disk), 2)
		})
	}
}

// Steps that are larger than the object and than a megabyte are folded into a new file.
func TestLargeStepsAreFolded(t *testing.T) {
	disk, store := syncedJournal(t)
	disk.watch()
	value := strings.Repeat("v", 100_000)
	for i := range 11 {
		store.Set("a", value+strconv.Itoa(i))
		require.NoError(t, store.Sync())
	}
	require.NoError(t, store.Backup()) // waits for the save that was due
	require.EqualValues(t, 2, disk.backups.Load())
	require.Len(t, linesOf(t, disk.disk), 1)
}

// No caller waits for the save that folds the steps, so its error goes to the reader of
// AutoBackupErrors. Syncs go on.
func TestStepsThatCannotBeFolded(t *testing.T) {
	disk, store := syncedJournal(t)
	store.StartAutoBackup(time.Hour)
	disk.watch()
	disk.failWith(syscall.ENOSPC)
	value := strings.Repeat("v", 100_000)
	for i := range 12 {
		store.Set("a", value+strconv.Itoa(i))
		require.NoError(t, store.Sync())
	}
	require.ErrorIs(t, <-store.AutoBackupErrors(), syscall.ENOSPC)
	require.Equal(t, map[string]string{"a": value + "11"}, afterCrash(t, disk.disk))
	disk.heal()
	require.NoError(t, store.Close())
	require.Len(t, linesOf(t, disk.disk), 1)
}

// A program changes the file between the look and the write of a step. Its text is kept,
// and the store writes a whole file.
func TestAStrangerBetweenTheLookAndTheStep(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*durabletest.Disk)
		kept   string
	}{
		"appended": {func(d *durabletest.Disk) { d.Append(storePath, "x") }, "}\nx{\"step\":1,"},
		"replaced": {func(d *durabletest.Disk) { d.WriteFile(storePath, []byte(`{"editor":"1"}`)) }, `{"editor":"1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			disk, store := syncedJournal(t)
			stranger := sync.OnceFunc(func() { c.change(disk.disk) })
			disk.Before(func(op, _ string) {
				if op == "Write" {
					stranger()
				}
			})
			store.Set("a", "2")
			require.NoError(t, store.Sync())
			require.Equal(t, []string{"{\"a\":\"2\"}\n"}, linesOf(t, disk.disk))
			kept, _ := disk.disk.ReadFile(storePath + ".prev")
			require.Contains(t, string(kept), c.kept)
		})
	}
}

// The live file stays open, and no other.
func TestTheLiveFileAloneStaysOpen(t *testing.T) {
	disk, store := syncedJournal(t)
	open := disk.OpenHandles() // the lock's and the live file
	for i := range 5 {
		store.Set("a", strconv.Itoa(i))
		require.NoError(t, store.Sync())
		require.NoError(t, store.Backup())
		require.Equal(t, open, disk.OpenHandles())
	}
	require.NoError(t, store.Close())
	require.Zero(t, disk.OpenHandles())
}

// The last handle of a replaced file is closed when the path's mutex is free: a Sync at that
// moment need not wait until the file system has freed a large file.
func TestSyncBesideTheEndOfAReplacedFile(t *testing.T) {
	disk, store := syncedJournal(t)
	renamed, synced := false, make(chan error, 1)
	disk.Before(func(op, _ string) {
		switch {
		case op == "Rename":
			renamed = true
		case op == "Close" && renamed:
			disk.Before(nil)
			go func() { synced <- store.Sync() }()
			select {
			case err := <-synced:
				synced <- err
			case <-time.After(10 * time.Second):
				t.Error("Sync waits for the end of the replaced file")
			}
		}
	})
	store.Set("a", "2")
	require.NoError(t, store.Backup())
	require.Len(t, synced, 1, "no file was closed after the rename")
	require.NoError(t, <-synced)
}

// After a step that failed the end of the file is unknown: the next save is whole.
func TestNothingIsAppendedBehindAFailedStep(t *testing.T) {
	for _, failing := range []string{"Write", "SyncData"} {
		t.Run(failing, func(t *testing.T) {
			disk, store := syncedJournal(t)
			fail := sync.OnceFunc(func() { disk.FailAt(disk.Ops()-1, syscall.EIO, false) })
			disk.Before(func(op, _ string) {
				if op == failing {
					fail()
				}
			})
			store.Set("a", "2")
			require.ErrorIs(t, store.Sync(), syscall.EIO)
			store.Set("a", "3")
			require.NoError(t, store.Sync())
			require.Equal(t, []string{"{\"a\":\"3\"}\n"}, linesOf(t, disk.disk))
		})
	}
}

// A step that is nearly as large as the whole map is no step.
func TestALargeStepIsAWholeFile(t *testing.T) {
	disk, store := syncedJournal(t)
	store.Set("a", strings.Repeat("v", 2<<20))
	require.NoError(t, store.Sync())
	require.Len(t, linesOf(t, disk.disk), 1)
}

// Callers of Sync that arrive while a step is written share the next.
func TestSyncsShareAStep(t *testing.T) {
	disk, store := syncedJournal(t)
	entered, gate := make(chan struct{}, 100), make(chan struct{})
	syncs := atomic.Int64{}
	disk.Before(func(op, _ string) {
		if op == "SyncData" {
			syncs.Add(1)
			entered <- struct{}{}
			<-gate
		}
	})
	store.Set("a", "2")
	var callers sync.WaitGroup
	callers.Go(func() { assert.NoError(t, store.Sync()) })
	<-entered
	for i := range 64 {
		callers.Go(func() {
			store.Set(strconv.Itoa(i), "x")
			assert.NoError(t, store.Sync())
		})
	}
	Soon(t, "the Sets", func() bool { return store.Len() == 65 })
	for range 64 {
		store.Len() // every Sync that was called is in the mailbox before one of these
		runtime.Gosched()
	}
	close(gate)
	callers.Wait()
	require.LessOrEqual(t, syncs.Load(), int64(10))
	require.Len(t, afterCrash(t, disk.disk), 65)
	require.NoError(t, store.Sync(), "a caller that comes alone does not wait for the others")
}

// While a whole backup is written, Syncs go on in the old file, and the new file has
// everything that they have acknowledged.
func TestSyncBesideABackup(t *testing.T) {
	gate := make(chan struct{})
	disk := newGatedDisk(gate)
	store := openJournal(t, disk)
	store.Set("a", "1")
	require.NoError(t, store.Sync())
	disk.watch()
	backedUp := make(chan error, 1)
	store.Set("a", "2")
	go func() { backedUp <- store.Backup() }()
	Soon(t, "the backup", func() bool { return disk.backups.Load() == 1 })
	store.Set("a", "3")
	require.NoError(t, store.Sync())
	require.Equal(t, map[string]string{"a": "3"}, afterCrash(t, disk.disk))
	disk.release(t)
	require.NoError(t, <-backedUp)
	require.Equal(t, map[string]string{"a": "3"}, afterCrash(t, disk.disk))
	lines := linesOf(t, disk.disk)
	require.Equal(t, "{\"a\":\"2\"}\n", lines[0])
	require.Len(t, lines, 2)
	disk.Before(nil)                  // no gate any more
	require.NoError(t, store.Close()) // has nothing new to write, but for the step
	require.Equal(t, []string{"{\"a\":\"3\"}\n"}, linesOf(t, disk.disk), "plain after Close")
}

// A Close that comes while a step is about to take its view waits for the step: the step
// may acknowledge a write that came after the Close, and the last file must have it.
func TestCloseBehindAStep(t *testing.T) {
	disk, store := syncedJournal(t)
	looking, gate := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(looking); <-gate })
	disk.Before(func(op, name string) {
		if op == "Stat" && name == storePath {
			first()
		}
	})
	synced, closed := make(chan error, 2), make(chan error, 1)
	go func() { synced <- store.Sync() }()
	<-looking // the step has not taken its view
	store.Set("before", "the Close")
	store.tell(closeCmd{closed})
	store.Set("after", "the Close")
	store.tell(syncCmd{synced})
	store.Len() // the owner has all of these
	close(gate)
	require.NoError(t, <-synced)
	require.NoError(t, <-synced)
	require.Contains(t, afterCrash(t, disk.disk), "after")
	require.NoError(t, <-closed)
	require.Contains(t, afterCrash(t, disk.disk), "after")
	require.Len(t, linesOf(t, disk.disk), 1)
}

// The owner hears of a save after other goroutines can append to its file.
func TestAStepBeforeTheNewsOfItsFile(t *testing.T) {
	st := &state{entries: trie.New(), backups: newBackups(nil, nil, log{})}
	st.journal.failedAt = 1
	st.saving = true
	st.stepped(stepped{saved: Save{Bytes: 1}})
	st.saved(save{plain: true}, nil, nil)
	require.True(t, st.journal.hasSteps, "or a Close would leave the step")
	require.Zero(t, st.journal.failedAt)
}

func TestSyncOfAReadOnlyStore(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(storePath, []byte(`{}`))
	store, err := newStore(disk.Process(), settings{path: storePath, readOnly: true, journal: true})
	require.NoError(t, err)
	require.ErrorIs(t, store.Sync(), ErrReadOnly)
}

func TestSyncAfterClose(t *testing.T) {
	disk := newGatedDisk(nil)
	store := openJournal(t, disk)
	store.Set("a", "1")
	require.NoError(t, store.Close())
	store.Set("a", "2")
	require.NoError(t, store.Sync())
	require.Equal(t, map[string]string{"a": "2"}, afterCrash(t, disk.disk))
	require.NoError(t, store.Close())
	require.ErrorIs(t, secondProcessOwns(t, disk.disk, store), ErrInUse)
}

// secondProcessOwns has another process own the file, and returns the error of a Sync.
func secondProcessOwns(t *testing.T, disk *durabletest.Disk, store *Store) error {
	t.Helper()
	other := open(t, disk.Process())
	defer other.Close()
	store.Set("b", "3")
	return store.Sync()
}

// A machine is a store with a journal on a disk, the power of which may fail in front of
// every operation.
type machine struct {
	t       *testing.T
	plant   func(*durabletest.Process) durable.FS // puts a bug between the store and the disk
	disk    *durabletest.Disk
	process *durabletest.Process
	store   *Store

	mu           sync.Mutex // guards what follows
	written      int        // the newest value that was set
	acknowledged int        // the newest value that must be found
	images       int
	tried        map[string]bool
	lost         []string
}

// newMachine starts a store in an empty folder.
func newMachine(t *testing.T) *machine {
	return newFaultyMachine(t, func(p *durabletest.Process) durable.FS { return p })
}

func newFaultyMachine(t *testing.T, plant func(*durabletest.Process) durable.FS) *machine {
	m := &machine{t: t, plant: plant, disk: durabletest.NewDisk(), tried: map[string]bool{}}
	m.start()
	return m
}

func (m *machine) start() {
	m.process = m.disk.Process()
	m.store = openJournal(m.t, m.plant(m.process))
	m.process.Before(func(string, string) { m.cut() })
}

// set gives two keys the next value, one of them with a deadline, in one step that is never to
// be found half done.
func (m *machine) set() {
	m.mu.Lock()
	m.written++
	value := strconv.Itoa(m.written)
	m.mu.Unlock()
	_ = m.store.Update(func(tx *Tx) error {
		tx.Set("left", value)
		tx.SetWithTTL("right", value, math.MaxInt64)
		return nil
	})
}

// durably calls save, and requires what was written before it from then on, if it
// succeeds.
func (m *machine) durably(save func() error) error {
	m.mu.Lock()
	written := m.written
	m.mu.Unlock()
	err := save()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.acknowledged = max(m.acknowledged, written)
	}
	return err
}

// cut requires that every disk which a power cut would leave now has what was
// acknowledged.
func (m *machine) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.lost) > 0 || !m.isNew("with changes to come", m.disk.State()) {
		return
	}
	for image := range m.disk.Crashes() {
		m.images++
		if m.isNew("start on", image.Fingerprint()) {
			m.recover(image)
		}
	}
}

// isNew reports whether a disk was not tried yet with what must be found on it.
func (m *machine) isNew(kind, disk string) bool {
	key := fmt.Sprintln(kind, m.acknowledged, m.written, disk)
	before := m.tried[key]
	m.tried[key] = true
	return !before
}

// recover starts a store on what a power cut has left, and again after a power cut at
// each operation of that start.
func (m *machine) recover(image *durabletest.Disk) {
	m.check(image, m.acknowledged)
	again := image.Process()
	again.Before(func(string, string) {
		if m.isNew("while a store starts", image.State()) {
			for second := range image.Crashes() {
				m.check(second, m.acknowledged)
			}
		}
	})
	defer again.Before(nil) // the garbage collector may yet close the file
	store, err := newStore(again, settings{path: storePath, journal: true})
	if err != nil {
		m.lost = append(m.lost, err.Error())
		return
	}
	store.Set("after", "the crash")
	if err := store.Sync(); err != nil {
		m.lost = append(m.lost, err.Error())
	}
	again.Kill()
}

// check requires that a process which starts on disk finds one state that was, and not
// one before least.
func (m *machine) check(disk *durabletest.Disk, least int) {
	if !m.isNew("check", disk.Fingerprint()) {
		return
	}
	process := disk.Process()
	defer process.Kill()
	store, err := newStore(process, settings{path: storePath, journal: true})
	if err != nil {
		m.lost = append(m.lost, err.Error())
		return
	}
	left, _ := store.Get("left")
	right, there := store.Get("right")
	if _, ends := store.ExpiresAt("right"); ends != there {
		m.lost = append(m.lost, "a deadline")
	}
	found, _ := strconv.Atoi(left)
	if left != right || found < least || found > m.written {
		m.lost = append(m.lost, fmt.Sprintf("found %q and %q, acknowledged %d, written %d", left, right, least, m.written))
	}
}

// Steps, whole backups and restarts follow each other in every order, with the power
// failing everywhere.
func TestNoPowerCutLosesASync(t *testing.T) {
	m := newMachine(t)
	for _, script := range scripts {
		m.run(script)
		require.Empty(t, m.lost, script)
	}
	m.process.Before(nil)
	t.Logf("%d disks without power, %d different", m.images, len(m.tried))
}

// scripts are the orders of Sets, Syncs, Backups, Closes, kills, edits and removals.
var scripts = []string{"sysysybsysycsysyksysy", "yssybsycsbysyykysyksybk", "sykcsykysbkcyssy", "syesysyesbsyecsysyke", "sysyrsysyrycsyryk"}

// run carries out a script, until a power cut loses what was acknowledged.
func (m *machine) run(script string) {
	do := map[byte]func(){
		's': m.set,
		'y': func() { require.NoError(m.t, m.durably(m.store.Sync)) },
		'b': func() { require.NoError(m.t, m.durably(m.store.Backup)) },
		'c': func() { require.NoError(m.t, m.durably(m.store.Close)) },
		'k': func() { m.process.Before(nil); m.process.Kill(); m.start() },
		'e': m.edit,
		'r': m.remove,
	}
	for i := range len(script) {
		if do[script[i]](); len(m.lost) > 0 {
			return
		}
		m.cut()
	}
}

// remove has a user remove the file, and with it what was acknowledged.
func (m *machine) remove() {
	m.mu.Lock()
	defer m.mu.Unlock()
	user := m.disk.Process()
	if err := user.Remove(storePath); err == nil {
		require.NoError(m.t, user.SyncDir("/disk/"))
		m.acknowledged = 0
	}
}

// stride returns the distance between the operations that are tried: all of them, or a
// sample that begins anywhere.
func stride(t *testing.T) (first, by int) {
	if os.Getenv("GENIE_LONG") != "" {
		return 0, 1
	}
	const sample = 9
	first = int(time.Now().UnixNano()) % sample
	t.Logf("operations from %d on", first)
	return first, sample
}

// edit has an editor put a plain file with the newest state in the place of the backup.
func (m *machine) edit() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disk.WriteFile(storePath, fmt.Appendf(nil, `{"left":"%d","right":{"value":"%d","expires":"2262-04-11T23:47:16.854775807Z"}}`, m.written, m.written))
}

// A Sync is called at every operation of a whole backup, with something to write and
// without; the backup goes on when the Sync has returned, or waits for the mutex.
func TestNoPowerCutLosesASyncBesideABackup(t *testing.T) {
	for _, save := range []string{"Backup", "Close"} {
		for _, writes := range []bool{true, false} {
			images := 0
			first, by := stride(t)
			for at, more := first, true; more; at += by {
				m := newMachine(t)
				m.set()
				require.NoError(t, m.durably(m.store.Sync))
				m.set()
				images, more = images+m.syncAt(at, save, writes), m.process.Ops() > at
				require.Empty(t, m.lost, "%s, at operation %d", save, at)
				more = more && at < 200
			}
			t.Logf("%s: %d disks without power", save, images)
		}
	}
}

// syncAt calls Sync in front of operation at of a save.
func (m *machine) syncAt(at int, save string, writes bool) (images int) {
	synced, ops, called := make(chan error, 1), atomic.Int64{}, atomic.Bool{}
	m.process.Before(func(string, string) {
		m.cut()
		if ops.Add(1)-1 == int64(at) && called.CompareAndSwap(false, true) {
			go func() {
				if writes {
					m.set()
				}
				synced <- m.durably(m.store.Sync)
			}()
			select {
			case err := <-synced:
				synced <- err
			case <-time.After(2 * time.Millisecond): // it waits for the save
			}
		}
	})
	end := m.store.Backup
	if save == "Close" {
		end = m.store.Close
	}
	require.NoError(m.t, m.durably(end))
	if called.Load() {
		require.NoError(m.t, <-synced)
	}
	m.cut()
	require.NoError(m.t, m.durably(m.store.Close))
	m.cut()
	m.process.Before(nil)
	return m.images
}

// A spoiledDisk has a bug in the handles of new files, or in its look at the backup file.
type spoiledDisk struct {
	*durabletest.Process
	handle func(name string, h durable.Handle) durable.Handle
	seen   *fs.FileInfo // if it is not nil, the newest description of a new file
}

func (d *spoiledDisk) Create(name string) (durable.Handle, error) {
	h, err := d.Process.Create(name)
	if err != nil {
		return nil, err
	}
	if d.seen != nil {
		h = watchedHandle{h, d.seen}
	}
	return d.handle(name, h), nil
}

// Stat describes the newest file of this process as the backup file if that is gone.
func (d *spoiledDisk) Stat(name string) (fs.FileInfo, error) {
	info, err := d.Process.Stat(name)
	if errors.Is(err, fs.ErrNotExist) && name == storePath && d.seen != nil && *d.seen != nil {
		return *d.seen, nil
	}
	return info, err
}

type watchedHandle struct {
	durable.Handle
	seen *fs.FileInfo
}

func (h watchedHandle) Stat() (fs.FileInfo, error) {
	info, err := h.Handle.Stat()
	*h.seen = info
	return info, err
}

// lazySync does not sync steps.
type lazySync struct{ durable.Handle }

func (lazySync) SyncData() error { return nil }

// forgivingSync takes a failed sync of steps for a success.
type forgivingSync struct{ durable.Handle }

func (h forgivingSync) SyncData() error { _ = h.Handle.SyncData(); return nil }

// secondSync syncs a new file only as often as a backup without a journal does.
type secondSync struct {
	durable.Handle
	synced *int
}

func (h secondSync) Sync() error {
	if *h.synced++; *h.synced > 2 {
		return nil
	}
	return h.Handle.Sync()
}

// noCatchUp leaves the steps out of a new file that has its first name yet.
type noCatchUp struct {
	durable.Handle
	name string
	disk **durabletest.Disk
}

func (h noCatchUp) Write(b []byte) (int, error) {
	if _, exists := (*h.disk).ReadFile(h.name); exists && strings.HasPrefix(string(b), `{"step":`) {
		return len(b), nil
	}
	return h.Handle.Write(b)
}

// The model sees wrong orders of the operations. Each bug is planted between the store
// and the disk.
func TestPlantedOrdersOfSteps(t *testing.T) {
	plain := func(_ string, h durable.Handle) durable.Handle { return h }
	spoil := func(handle func(string, durable.Handle) durable.Handle) func(*durabletest.Process) durable.FS {
		return func(p *durabletest.Process) durable.FS { return &spoiledDisk{p, handle, nil} }
	}
	disk := new(*durabletest.Disk) // of the machine
	beside := func(m *machine) {   // a Sync at every operation of a backup
		for at := range 60 {
			if len(m.lost) == 0 {
				m.set()
				_ = m.durably(m.store.Sync)
				m.set()
				m.syncAt(at, "Backup", true)
				m.process.Before(func(string, string) { m.cut() })
			}
		}
	}
	for name, bug := range map[string]struct {
		plant func(*durabletest.Process) durable.FS
		run   func(m *machine)
	}{
		"A2 and A6, no look": {func(p *durabletest.Process) durable.FS {
			return &spoiledDisk{p, plain, new(fs.FileInfo)}
		}, func(m *machine) { m.run("sysyry") }},
		"A5, a step is not synced": {spoil(func(_ string, h durable.Handle) durable.Handle { return lazySync{h} }),
			func(m *machine) { m.run("sysysy") }},
		"A5, a failed sync is forgiven": {spoil(func(_ string, h durable.Handle) durable.Handle { return forgivingSync{h} }),
			func(m *machine) {
				m.run("sysy")
				m.set()
				m.process.Before(func(op, _ string) {
					if op == "SyncData" {
						m.process.FailAt(m.process.Ops()-1, syscall.EIO, false)
					}
				})
				_ = m.durably(m.store.Sync)
				m.cut()
			}},
		"W6, the catching-up is not synced": {spoil(func(_ string, h durable.Handle) durable.Handle { return secondSync{h, new(int)} }),
			beside},
		"W6, no catching-up": {spoil(func(name string, h durable.Handle) durable.Handle { return noCatchUp{h, name, disk} }), beside},
		"W10, the folder is not synced": {func(p *durabletest.Process) durable.FS { return noSyncDirDisk{p} },
			func(m *machine) { m.run("sysybsysy") }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newFaultyMachine(t, bug.plant)
			*disk = m.disk
			bug.run(m)
			m.process.Before(nil)
			require.NotEmpty(t, m.lost)
			t.Log(m.lost[0])
		})
	}
}

// A noSyncDirDisk does not sync the folder.
type noSyncDirDisk struct{ *durabletest.Process }

func (noSyncDirDisk) SyncDir(string) error { return nil }

// opName returns the name of operation n, if there was one.
func opName(p *durabletest.Process, n int) string {
	if names := p.OpNames(); n < len(names) {
		return names[n]
	}
	return "none"
}

// Every operation fails once, or from then on until the disk heals. Nothing that was
// acknowledged is lost, every error is reported, and then all goes on.
func TestNoFaultLosesASync(t *testing.T) {
	for _, sticky := range []bool{false, true} {
		images, failed := 0, map[string]bool{}
		first, by := stride(t)
		for at, more := first, true; more; at += by {
			m := newMachine(t)
			before := m.process.Ops()
			m.process.FailAt(before+at, syscall.EIO, sticky)
			errs := []error{}
			for _, save := range []func() error{m.store.Sync, m.store.Sync, m.store.Backup, m.store.Sync, m.store.Close} {
				m.set()
				errs = append(errs, m.durably(save))
				m.cut()
			}
			more = m.process.Ops() > before+at
			if err := errors.Join(errs...); err != nil {
				require.ErrorIs(t, err, syscall.EIO)
				failed[opName(m.process, before+at)] = true
			}
			m.process.Heal()
			m.set()
			require.NoError(t, m.durably(m.store.Sync))
			m.set()
			require.NoError(t, m.durably(m.store.Sync))
			m.cut()
			m.process.Before(nil)
			require.Empty(t, m.lost, "operation %d, %s", at, opName(m.process, before+at))
			images += m.images
		}
		t.Logf("sticky %v: %d disks without power; reported %d kinds: %q", sticky, images, len(failed), slices.Sorted(maps.Keys(failed)))
		if by == 1 {
			require.Contains(t, failed, "SyncData .store.json.tmp-*")
			require.Contains(t, failed, "Write .store.json.tmp-*")
		}
		require.NotEmpty(t, failed)
	}
}

// Time.

// at returns an instant: so many seconds after 1970 by the wall clock, and the number of
// the instant in the order of all.
func at(wall int64, order time.Duration) instant { return instant{wall * int64(time.Second), order} }

func get(store *Store, now instant) bool {
	c := &getCmd{key: "key", now: now, reply: newSignal()}
	store.tell(c)
	<-c.reply
	return c.ok
}

// The time does not go back because a command comes late, and it does because a person has
// set the wall clock back.
func TestTheTimeOfCommands(t *testing.T) {
	for name, c := range map[string]struct {
		times []instant
		alive []bool
	}{
		"before, at and after the deadline":    {[]instant{at(99, 1), at(100, 2), at(101, 3)}, []bool{true, false, false}},
		"a command that comes late":            {[]instant{at(100, 2), at(99, 1), at(99, 2)}, []bool{false, false, false}},
		"a command without a time":             {[]instant{at(99, 1), {}, at(100, 2), {}}, []bool{true, true, false, false}},
		"the wall clock was set back":          {[]instant{at(100, 1), at(40, 2), at(99, 3), at(100, 4)}, []bool{false, true, true, false}},
		"the wall clock was set forward, back": {[]instant{at(10_000, 1), at(50, 2)}, []bool{false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := NewStore(WithoutFile())
			require.NoError(t, err)
			store.state.expiry.after = func(time.Duration) *time.Timer { return time.NewTimer(time.Hour) } // no removal
			store.tell(setWithTTLCmd{entry: trie.Entry{Key: "key", Deadline: at(100, 0).wall}})
			for i, now := range c.times {
				require.Equal(t, c.alive[i], get(store, now), "%v", now)
			}
		})
	}
}

// Each command that reads brings the time: no removal and no other command has brought it
// before.
func TestEveryReadBringsTheTime(t *testing.T) {
	over := at(100, 2)
	for name, found := range map[string]func(store *Store) bool{
		"get": func(store *Store) bool { return get(store, over) },
		"deadline": func(store *Store) bool {
			c := deadlineCmd{"key", over, make(chan int64, 1)}
			store.tell(c)
			return <-c.reply != 0
		},
		"len": func(store *Store) bool {
			c := lenCmd{over, make(chan length, 1)}
			store.tell(c)
			l := <-c.reply
			return l.of == nil || l.count() > 0 // the owner must not count
		},
		"view": func(store *Store) bool {
			c := &viewCmd{now: over, reply: newSignal()}
			store.tell(c)
			<-c.reply
			return c.view.Len() > 0
		},
		"watch": func(store *Store) bool {
			c := watchCmd{nothingSeen, over, make(chan sight, 1)}
			store.tell(c)
			return (<-c.reply).view.Len() > 0
		},
		"stats": func(store *Store) bool {
			c := statsCmd{over, make(chan statsReply, 1)}
			store.tell(c)
			return (<-c.reply).length.count() > 0
		},
		"update": func(store *Store) (found bool) {
			c := store.updates.take()
			c.now = over
			store.tell(c)
			_ = c.run(func(tx *Tx) error { _, found = tx.Get("key"); return nil }, &store.clock, &store.reentry)
			return found
		},
		"get or set": func(store *Store) bool {
			c := &getOrSetCmd{key: "key", now: over, reply: newSignal()}
			store.tell(c)
			<-c.reply
			return c.found
		},
		"swap": func(store *Store) bool {
			c := &swapCmd{key: "key", now: over, reply: newSignal()}
			store.tell(c)
			<-c.reply
			return c.swapped
		},
		"increment": func(store *Store) bool {
			c := &incrementCmd{key: "key", now: over, reply: newSignal()}
			store.tell(c)
			<-c.reply
			return c.err != nil // of an entry that is no integer
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := NewStore(WithoutFile())
			require.NoError(t, err)
			store.state.expiry.after = func(time.Duration) *time.Timer { return time.NewTimer(time.Hour) } // no removal
			store.tell(setWithTTLCmd{entry: trie.Entry{Key: "key", Deadline: over.wall}})
			require.False(t, found(store))
		})
	}
}

func TestAWallClockBefore1970(t *testing.T) {
	var c clock
	now := c.at(time.Unix(-5, 0))
	require.Equal(t, int64(1), now.wall)
	require.Equal(t, int64(1+time.Second), deadlineAfter(now, time.Second))
}

// A wall clock that is set forward by a day removes what has ended by then within a minute,
// although the timer follows another clock. Set back, it removes nothing too early.
func TestTheWallClockIsSet(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, err := NewStore(WithoutFile())
		require.NoError(t, err)
		waits := make(chan time.Duration, 10)
		store.state.expiry.after = func(wait time.Duration) *time.Timer { waits <- wait; return time.NewTimer(0) }
		next := func() time.Duration { store.Len(); return <-waits }
		expire := func(now instant) { store.tell(expireCmd{now, true, make(chan bool, 1)}) }

		store.tell(setWithTTLCmd{trie.Entry{Key: "key", Deadline: at(1_000, 0).wall}, at(900, 1)})
		require.Equal(t, maxWait, next(), "and not 100 seconds")
		expire(at(960, 2))
		require.Equal(t, 40*time.Second, next())
		expire(at(500, 3)) // set back
		require.Equal(t, maxWait, next())
		require.True(t, get(store, instant{}))
		expire(at(90_000, 4)) // set forward
		require.False(t, get(store, instant{}))
		require.Zero(t, store.Stats().Expiring)
		require.Empty(t, waits, "a timer for nothing")
	})
}

// The timer is armed for the first deadline, again if an earlier one comes, and not for one
// that comes later.
func TestTheTimerOfDeadlines(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, err := NewStore(WithoutFile())
		require.NoError(t, err)
		armed := make(chan time.Duration, 10)
		after := store.state.expiry.after
		store.state.expiry.after = func(wait time.Duration) *time.Timer { armed <- wait; return after(wait) }
		requireArmed := func(want ...time.Duration) {
			t.Helper()
			synctest.Wait()
			for _, wait := range want {
				require.Equal(t, wait, <-armed)
			}
			require.Empty(t, armed)
		}
		store.Set("a", "without")
		requireArmed()
		store.SetWithTTL("b", "", 30*time.Second)
		requireArmed(30 * time.Second)
		store.SetWithTTL("c", "", 40*time.Second)
		store.Set("d", "")
		requireArmed()
		store.SetWithTTL("d", "", 20*time.Second)
		requireArmed(20 * time.Second)
		advance(20 * time.Second)
		requireArmed(10 * time.Second)
		store.Set("b", "kept") // the bound of its leaf is out of date
		advance(10 * time.Second)
		requireArmed(10 * time.Second)
		require.Equal(t, 3, store.Len())
		advance(10 * time.Second)
		requireArmed()
		require.Equal(t, 2, store.Len())
		advance(time.Hour)
		requireArmed()
	})
}

// The first deadline of a store may come with an Update, or with a ReadFrom.
func TestTheFirstDeadlineOfAStore(t *testing.T) {
	for name, write := range map[string]func(store *Store) error{
		"Update": func(store *Store) error {
			return store.Update(func(tx *Tx) error { tx.SetWithTTL("k", "v", 10*time.Second); return nil })
		},
		"ReadFrom": func(store *Store) error {
			_, err := store.ReadFrom(strings.NewReader(`{"k":{"value":"v","expires":"2000-01-01T00:00:10Z"}}`))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, err := NewStore(WithoutFile())
				require.NoError(t, err)
				require.NoError(t, write(store))
				advance(10*time.Second - 1)
				require.Equal(t, 1, store.Len())
				time.Sleep(time.Nanosecond)
				_, found := store.Get("k") // perhaps before the removal
				require.False(t, found)
				advance(minWait)
				require.Zero(t, store.Stats().Expiring)
			})
		})
	}
}

// A turn removes few entries, and after some turns comes a pause: callers go on.
func TestEntriesAreRemovedInTurns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newGatedDisk(nil)
		store := open(t, disk)
		var armed atomic.Int64
		after := store.state.expiry.after
		store.state.expiry.after = func(wait time.Duration) *time.Timer { armed.Add(1); return after(wait) }
		const n = 20_000
		for i := range n {
			store.SetWithTTL(strconv.Itoa(i), "v", time.Hour)
		}
		advance(time.Hour - 1)
		require.Equal(t, n, store.Stats().Expiring)
		left, turns, before := n, 0, armed.Load()
		for advance(1); left > 0; advance(minWait) {
			now := store.Stats()
			require.LessOrEqual(t, left-now.Expiring, 32*turnsAtOnce, "without a pause")
			require.Zero(t, now.Entries)
			left = now.Expiring
			turns++
			require.Less(t, turns, n)
		}
		require.GreaterOrEqual(t, turns, n/32/turnsAtOnce)
		require.LessOrEqual(t, armed.Load()-before, int64(turns), "one timer for each pause")
		require.NoError(t, store.Backup())
		require.Equal(t, "{}\n", disk.text(t))
	})
}

// A store that has entries with deadlines is garbage when the program forgets it.
func TestForgottenStoreWithDeadlinesIsGarbage(t *testing.T) {
	collected := make(chan struct{})
	func() {
		store, err := NewStore(WithoutFile())
		require.NoError(t, err)
		store.SetWithTTL("k", "v", time.Hour)
		store.Len()
		runtime.AddCleanup(store, func(struct{}) { close(collected) }, struct{}{})
	}()
	Collected(t, "the collection of the store", collected)
}

// Callers of a store without deadlines look at no clock.
func TestWithoutDeadlinesThereIsNoTime(t *testing.T) {
	store, err := NewStore(WithoutFile())
	require.NoError(t, err)
	store.Set("k", "v")
	store.Get("k")
	require.NoError(t, store.Update(func(tx *Tx) error { tx.Set("k", "w"); return nil }))
	require.Equal(t, instant{}, store.clock.now())
	store.Len()
	require.Zero(t, store.state.expiry.now)
	require.Nil(t, store.state.expiry.timer)
	store.SetWithTTL("k", "v", time.Hour)
	require.NotZero(t, store.clock.now())
}

// Stats and the log.

// loggedTo returns options for a store that logs to lines, without times.
func loggedTo(lines *strings.Builder) settings {
	return settings{path: storePath, logger: slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))}
}

func TestStatsAndLog(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		began := time.Now()
		disk := newGatedDisk(nil)
		disk.disk.WriteFile(storePath, []byte(`{"a":"1","b":"2"}`))
		var lines strings.Builder
		newLines := func() string { defer lines.Reset(); return lines.String() }
		store, err := newStore(disk, loggedTo(&lines))
		require.NoError(t, err)
		disk.watch()
		require.Equal(t, Stats{Path: storePath, Entries: 2, Source: SourceBackup, Loaded: 2}, store.Stats())
		require.Equal(t, "level=INFO msg=\"genie: load\" path=/disk/store.json source=backup entries=2 bytes=17 duration=0s\n", newLines())

		store.SetWithTTL("c", "3", 30*time.Hour)
		store.Set("a", "4")
		store.StartAutoBackup(time.Hour)
		want := Stats{
			Path: storePath, Entries: 3, Expiring: 1, Source: SourceBackup, Loaded: 2, Writes: 2, Unsaved: 2, NextBackup: began.Add(time.Hour),
		}
		require.Equal(t, want, store.Stats())

		disk.failWith(syscall.ENOSPC)
		advance(time.Hour)
		failed := store.Stats()
		require.ErrorIs(t, failed.LastError, syscall.ENOSPC)
		require.Equal(t, began.Add(time.Hour), failed.LastErrorAt)
		want.FailedSaves, want.LastError, want.LastErrorAt, want.NextBackup = 1, failed.LastError, failed.LastErrorAt, began.Add(2*time.Hour)
		require.Equal(t, want, failed)
		require.Regexp(t, `^level=ERROR msg="genie: save" path=/disk/store.json error="genie: back up .*no space left on device"\n$`, newLines())

		disk.heal()
		store.StopAutoBackup()
		require.NoError(t, store.Backup())
		size := int64(len(disk.text(t)))
		want.Unsaved, want.Saves, want.LastSave = 0, 1, Save{At: began.Add(time.Hour), Bytes: size}
		want.ObjectBytes, want.NextBackup = size, time.Time{}
		require.Equal(t, want, store.Stats())
		require.Equal(t, fmt.Sprintf("level=DEBUG msg=\"genie: save\" path=/disk/store.json kind=backup entries=3 bytes=%d duration=0s\n", size), newLines())

		require.NoError(t, store.Close(), "which has nothing to write")
		require.Empty(t, newLines())
		require.Equal(t, want, store.Stats())
	})
}

func TestStatsOfSteps(t *testing.T) {
	disk, store := syncedJournal(t)
	whole := store.Stats()
	require.Equal(t, Save{At: whole.LastSave.At, Took: whole.LastSave.Took, Bytes: 10}, whole.LastSave)
	require.EqualValues(t, []int64{10, 0}, []int64{whole.ObjectBytes, whole.StepBytes})
	store.Set("b", "2")
	require.NoError(t, store.Sync())
	require.NoError(t, store.Sync()) // nothing to write, so no save
	lines := linesOf(t, disk.disk)
	step := store.Stats()
	require.True(t, step.LastSave.Step)
	require.EqualValues(t, len(lines[1]), step.LastSave.Bytes)
	require.EqualValues(t, 2, step.Saves)
	require.Zero(t, step.Unsaved)
	require.EqualValues(t, []int64{10, int64(len(lines[1]))}, []int64{step.ObjectBytes, step.StepBytes})
	store.Set("c", "3")
	require.NoError(t, store.Sync())
	require.EqualValues(t, len(linesOf(t, disk.disk)[1])+len(linesOf(t, disk.disk)[2]), store.Stats().StepBytes)
	require.NoError(t, store.Close())
	require.Zero(t, store.Stats().StepBytes)
	require.False(t, store.Stats().LastSave.Step)
}

// After a Close, a Backup locks the path again. A Sync beside it waits for that save, and
// does not look at a file that is not locked.
func TestSyncBesideABackupAfterClose(t *testing.T) {
	disk, store := syncedJournal(t)
	for i := range 50 {
		require.NoError(t, store.Close())
		store.Set("a", strconv.Itoa(i))
		var callers sync.WaitGroup
		callers.Go(func() { assert.NoError(t, store.Backup()) })
		callers.Go(func() { assert.NoError(t, store.Sync()) })
		callers.Wait()
	}
	require.Equal(t, map[string]string{"a": "49"}, afterCrash(t, disk.disk))
}

// A step into a new file may be noted before the save that has made the file.
func TestStatsOfAStepBeforeTheNewsOfItsFile(t *testing.T) {
	at := time.Now()
	oldStep, newStep := Save{At: at, Bytes: 7, Step: true}, Save{At: at, Bytes: 5, Step: true}
	whole := Save{At: at, Bytes: 100}
	for name, c := range map[string]struct {
		notes []fileSize // of steps, but for base 100 and no steps
		want  record
	}{
		"the save, the step":         {[]fileSize{{2, 100, 0}, {2, 100, 5}}, record{saves: 2, last: newStep, size: fileSize{2, 100, 5}}},
		"the step, the save":         {[]fileSize{{2, 100, 5}, {2, 100, 0}}, record{saves: 2, last: newStep, size: fileSize{2, 100, 5}}},
		"the save, a step of before": {[]fileSize{{2, 100, 0}, {1, 90, 7}}, record{saves: 2, last: whole, size: fileSize{2, 100, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var r record
			for _, size := range c.notes {
				switch size.steps {
				case 0:
					r.ended(whole, nil, at, size)
				case 5:
					r.ended(newStep, nil, at, size)
				case 7:
					r.ended(oldStep, nil, at, size)
				}
			}
			require.Equal(t, c.want, r)
		})
	}
}

// A store after a crash has its entries from the hand-over file.
func TestStatsOfAHandOver(t *testing.T) {
	disk := newGatedDisk(nil)
	disk.disk.WriteFile(storePath, []byte(`{"a":"1"}`))
	open(t, disk)
	disk.Kill()
	store := open(t, disk.disk.Process())
	require.Equal(t, SourceHandOver, store.Stats().Source)
	require.Equal(t, 1, store.Stats().Loaded)
}

// A backup of a store that began empty and was never written to leaves the contents of
// another store, and is no save.
func TestABlankBackupThatWritesNothingIsNoSave(t *testing.T) {
	disk := newGatedDisk(nil)
	first := open(t, disk)
	var lines strings.Builder
	second, err := newStore(disk, loggedTo(&lines))
	require.NoError(t, err)
	first.Set("a", "1")
	require.NoError(t, first.Backup())
	lines.Reset()
	require.NoError(t, second.Backup())
	require.Zero(t, second.Stats().Saves)
	require.Zero(t, second.Stats().LastSave)
	require.Empty(t, lines.String())
	require.JSONEq(t, `{"a":"1"}`, disk.text(t))
}

func TestAStartThatFailsIsLogged(t *testing.T) {
	disk := newGatedDisk(nil)
	var lines strings.Builder
	disk.FailAt(disk.Ops(), syscall.EIO, true)
	_, err := newStore(disk, loggedTo(&lines))
	require.ErrorIs(t, err, syscall.EIO)
	require.Regexp(t, `^level=ERROR msg="genie: load" path=/disk/store.json error="genie: open .*"\n$`, lines.String())
}

// The log counts the entries that a load gives, and those that a save has caught up with.
func TestTheLogCountsWhatIsThere(t *testing.T) {
	disk := newGatedDisk(nil)
	disk.disk.WriteFile(storePath, []byte(`{"a":"1","over":{"value":"2","expires":"2001-02-03T04:05:06Z"}}`))
	var lines strings.Builder
	chosen := loggedTo(&lines)
	chosen.journal = true
	store, err := newStore(disk, chosen)
	require.NoError(t, err)
	require.Contains(t, lines.String(), " source=backup entries=1 ")
	require.Equal(t, 1, store.Stats().Loaded)
	disk.Before(func(op, _ string) {
		if op == "Sync" {
			store.Set("late", "3")
		}
	})
	lines.Reset()
	require.NoError(t, store.Backup())
	require.Regexp(t, fmt.Sprintf(" kind=backup entries=2 bytes=%d ", len(disk.text(t))), lines.String())
}

func TestALoadThatFailsIsLogged(t *testing.T) {
	disk := newGatedDisk(nil)
	disk.disk.WriteFile(storePath, []byte(`{"a":1}`))
	var lines strings.Builder
	_, err := newStore(disk, loggedTo(&lines))
	require.ErrorIs(t, err, ErrCorrupt)
	require.Regexp(t, `^level=ERROR msg="genie: load" path=/disk/store.json error=".*is a number.*"\n$`, lines.String())
}

// Giving way.

// On one processor, a backup that kept the processor would stop every caller for
// 10 ms at a time. The loop over the bare entries does.
func TestABackupGivesWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	require.Greater(t, turnsOfOthers(givingWay(entriesFor(50*time.Millisecond))), 100)
	require.Less(t, turnsOfOthers(entriesFor(50*time.Millisecond)), 25)
}

// entriesFor yields entries without a pause until d is over.
func entriesFor(d time.Duration) iter.Seq[trie.Entry] {
	return func(yield func(trie.Entry) bool) {
		for began := time.Now(); time.Since(began) < d; {
			if !yield(trie.Entry{Key: "key", Value: "value"}) {
				return
			}
		}
	}
}

// turnsOfOthers counts how often another goroutine runs during a loop.
func turnsOfOthers[E any](entries iter.Seq[E]) (turns int) {
	var over atomic.Bool
	var other sync.WaitGroup
	other.Go(func() {
		for ; !over.Load(); turns++ {
			runtime.Gosched()
		}
	})
	for range entries {
	}
	over.Store(true)
	other.Wait()
	return turns
}

// A large entry is worth a look at the clock by itself.
func TestABackupGivesWayBetweenLargeEntries(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	large := strings.Repeat("v", workPerLook)
	entries := func(yield func(trie.Entry) bool) {
		for range 600 {
			for began := time.Now(); time.Since(began) < 2*minTurn; {
			}
			if !yield(trie.Entry{Key: "key", Value: large}) {
				return
			}
		}
	}
	// Some 500 turns, fewer if the kernel stops the test for a while. A backup that
	// looked at the clock after a number of entries would give way a few times.
	require.GreaterOrEqual(t, turnsOfOthers(givingWay(entries)), 30)
}

func TestATurnIsAShareOfTheTimeAway(t *testing.T) {
	for away, want := range map[time.Duration]time.Duration{
		0:                      minTurn,
		turnShare * minTurn:    minTurn,
		8 * time.Millisecond:   2 * time.Millisecond,
		40 * time.Millisecond:  10 * time.Millisecond,
		400 * time.Millisecond: maxTurn,
	} {
		require.Equal(t, want, turnAfter(away), "away for %v", away)
	}
}

func TestGivingWayPassesOnEveryEntryAndEndsEarly(t *testing.T) {
	const n = 10_000
	entries := trie.New()
	for i := range n {
		entries.Set(strconv.Itoa(i), "value")
	}
	seen := 0
	for e := range givingWay(entries.View().Entries) {
		require.Equal(t, "value", e.Value)
		_, known := entries.Get(e.Key)
		require.True(t, known)
		seen++
	}
	require.Equal(t, n, seen)
	for range givingWay(entries.View().Entries) {
		seen++
		break
	}
	require.Equal(t, n+1, seen)
}

// Protocol.

// The protocol of tell and loop, with mailboxes so small that senders wait, on
// few and many processors. The race detector sees whether the state is handed
// on properly; a lost command would leave a caller waiting for ever.
func TestProtocol(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 8} {
		for _, capacity := range []int{1, 2, 64, mailboxCapacity} {
			t.Run(fmt.Sprintf("%d processors, mailbox of %d", procs, capacity), func(t *testing.T) {
				defer goleak.VerifyNone(t)
				runtime.GOMAXPROCS(procs)
				store := open(t, newGatedDisk(nil))
				store.mailbox = make(chan command, capacity)
				counting(t, store)
				require.False(t, store.owned.Load(), "no owner is left")
			})
		}
	}
}

// A protocol is a model of tell and loop, step by step, with the bugs that a test plants.
type protocol struct {
	swapFirst, alwaysStart   bool // senders
	noLook, goOnWithoutASwap bool // owners
}

// A moment is where every goroutine of the model stands, in a mailbox for one command.
type moment struct {
	mailbox, handled int
	owned            bool
	senders          [3]string // the next step: send, swap, end
	owners           [6]string // the next step: "" not started, receive, leave, look, again, end
}

func (m moment) startOwner() moment {
	for i, owner := range m.owners {
		if owner == "" {
			m.owners[i] = "receive"
			break
		}
	}
	return m
}

// stepOfSender returns the moment after the next step of sender i, if it can take one.
func (p protocol) stepOfSender(m moment, i int) (after moment, ok bool) {
	next := map[string]string{"send": "swap", "swap": "end"}
	if p.swapFirst {
		next = map[string]string{"swap": "send", "send": "end"}
	}
	step := m.senders[i]
	m.senders[i] = next[step]
	switch step {
	case "send":
		m.mailbox++
		return m, m.mailbox == 1
	case "swap":
		was := m.owned
		if m.owned = true; !was || p.alwaysStart {
			m = m.startOwner()
		}
		return m, true
	}
	return m, false
}

func (p protocol) stepOfOwner(m moment, i int) (after moment, ok bool) {
	switch m.owners[i] {
	case "receive":
		if m.mailbox > 0 {
			m.mailbox--
			m.handled++
			return m, true
		}
		m.owners[i] = "leave"
	case "leave":
		m.owned = false
		m.owners[i] = "look"
		if p.noLook {
			m.owners[i] = "end"
		}
	case "look":
		m.owners[i] = "again"
		if m.mailbox == 0 {
			m.owners[i] = "end"
		}
	case "again":
		was := m.owned
		m.owned, m.owners[i] = true, "receive"
		if was && !p.goOnWithoutASwap {
			m.owners[i] = "end"
		}
	default:
		return m, false
	}
	return m, true
}

// explore takes every step that can be taken from m, and returns the first fault, or "".
func (p protocol) explore(m moment, seen map[moment]bool) string {
	if seen[m] {
		return ""
	}
	seen[m] = true
	owners := 0
	for _, owner := range m.owners {
		if owner == "receive" || owner == "leave" {
			owners++
		}
	}
	if owners > 1 {
		return "two owners"
	}
	stuck := true
	for i := range len(m.senders) + len(m.owners) {
		after, ok := moment{}, false
		if i < len(m.senders) {
			after, ok = p.stepOfSender(m, i)
		} else {
			after, ok = p.stepOfOwner(m, i-len(m.senders))
		}
		if !ok {
			continue
		}
		stuck = false
		if fault := p.explore(after, seen); fault != "" {
			return fault
		}
	}
	if stuck && (m.handled < len(m.senders) || m.owned) {
		return "a lost command"
	}
	return ""
}

// Every order in which three senders and their owners can take their steps. The planted
// bugs are those that actor.go names, and more.
func TestEveryOrderOfTheProtocol(t *testing.T) {
	for name, c := range map[string]struct {
		protocol protocol
		fault    string
	}{
		"as it is":                   {protocol{}, ""},
		"no look at the mailbox":     {protocol{noLook: true}, "a lost command"},
		"a swap before the send":     {protocol{swapFirst: true}, "a lost command"},
		"an owner for each command":  {protocol{alwaysStart: true}, "two owners"},
		"an owner that does not ask": {protocol{goOnWithoutASwap: true}, "two owners"},
	} {
		t.Run(name, func(t *testing.T) {
			first := "send"
			if c.protocol.swapFirst {
				first = "swap"
			}
			seen := map[moment]bool{}
			fault := c.protocol.explore(moment{senders: [3]string{first, first, first}}, seen)
			require.Equal(t, c.fault, fault)
			t.Logf("%d moments", len(seen))
		})
	}
}

// counting has 64 callers add up in the store, each with its own key and all
// with one.
func counting(t *testing.T, store *Store) {
	const callers, rounds = 64, 100
	var wg sync.WaitGroup
	for g := range callers {
		wg.Go(func() {
			own := strconv.Itoa(g)
			for i := range rounds {
				store.Set(own, strconv.Itoa(i))
				value, ok := store.Get(own)
				require.True(t, ok)
				require.Equal(t, strconv.Itoa(i), value, "a caller sees its own writes")
				_ = store.Update(func(tx *Tx) error {
					sum, _ := tx.Get("sum")
					n, _ := strconv.Atoi(sum)
					tx.Set("sum", strconv.Itoa(n+1))
					return nil
				})
			}
		})
	}
	WaitSoon(t, &wg)
	sum, _ := store.Get("sum")
	require.Equal(t, strconv.Itoa(callers*rounds), sum)
	Soon(t, "the end of the owner", func() bool { return !store.owned.Load() })
}

// The shape that actor.go promises, read from the source: no locks in the package,
// and the owner's state is out of reach of every exported method.
func TestShape(t *testing.T) {
	checked := 0
	for _, name := range sourceFiles(t) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			function, isFunction := decl.(*ast.FuncDecl)
			selectors := selectorsIn(decl)
			require.NotContains(t, selectors, "Mutex", name)
			require.NotContains(t, selectors, "RWMutex", name)
			if isFunction && receiver(function) == "Store" && function.Name.IsExported() {
				require.NotContains(t, selectors, "state", function.Name.Name)
				checked++
			}
			if isFunction && function.Name.Name == "applyAll" {
				require.Contains(t, selectors, "state", "else this test looks for the wrong name")
			}
		}
	}
	require.GreaterOrEqual(t, checked, 14, "the exported methods of Store")
}

// sourceFiles returns the names of the package's Go files that are not tests.
func sourceFiles(t *testing.T) (names []string) {
	all, err := filepath.Glob(filepath.Join(SourceFolder, "*.go"))
	require.NoError(t, err)
	for _, name := range all {
		if !strings.HasSuffix(name, "_test.go") {
			names = append(names, name)
		}
	}
	return names
}

// selectorsIn returns the names behind a dot in decl, such as Mutex in sync.Mutex.
func selectorsIn(decl ast.Decl) (names []string) {
	ast.Inspect(decl, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			names = append(names, selector.Sel.Name)
		}
		return true
	})
	return names
}

// receiver returns the name of the type that function is a method of, or "".
func receiver(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return ""
	}
	expr := function.Recv.List[0].Type
	if pointer, ok := expr.(*ast.StarExpr); ok {
		expr = pointer.X
	}
	if name, ok := expr.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

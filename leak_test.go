package genie

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
	"github.com/windevkay/forge/genie/internal/trie"
)

// TestMain gives the tests a home folder of their own and ends with a look for
// goroutines that any of them left behind. No option of goleak ignores any.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "genie-home-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("HOME", home)
	os.Setenv("USERPROFILE", home) // Windows
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(home)
		os.Exit(code)
	}))
}

// A seam is a disk in memory with a door in front of every backup.
type seam struct {
	*durabletest.Process
	disk    *durabletest.Disk
	creates atomic.Int64  // backups begun
	gate    chan struct{} // nil: open; else each backup waits for one receive
}

const storePath = "/disk/store.json"

func newSeam(gate chan struct{}) *seam {
	disk := durabletest.NewDisk()
	s := &seam{Process: disk.Process(), disk: disk, gate: gate}
	s.Before(func(op, _ string) {
		if op != "Create" {
			return
		}
		s.creates.Add(1)
		if s.gate != nil {
			<-s.gate
		}
	})
	return s
}

// failWith has every operation fail from now on.
func (s *seam) failWith(err error) { s.FailAt(s.Ops(), err, true) }

func (s *seam) text(t *testing.T) string {
	text, there := s.disk.ReadFile(storePath)
	require.True(t, there)
	return string(text)
}

// open returns a store on disk.
func open(t testing.TB, disk durable.FS) *Store {
	t.Helper()
	store, err := newStore(disk, storePath)
	require.NoError(t, err)
	return store
}

// inBubble runs test with a fake clock and looks for goroutines it left behind:
// twice, for the bubble itself fails when one outlives the test.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	defer goleak.VerifyNone(t)
	synctest.Test(t, test)
}

// pass lets the fake clock go on by d and everything that is due then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestStopAutoBackupLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	disk := newSeam(nil)
	store := open(t, disk)
	store.Set("k", "v")
	store.Get("k")
	store.StartAutoBackup(time.Millisecond)
	for disk.creates.Load() < 3 { // in real time
		store.Set("k", strconv.FormatInt(disk.creates.Load(), 10))
		runtime.Gosched()
	}
	store.StopAutoBackup()
	goleak.VerifyNone(t) // no option, no Close

	store.Set("k", "still works")
	value, _ := store.Get("k")
	require.Equal(t, "still works", value)
}

// The detector detects: a goroutine that somebody forgot is found.
func TestLeakIsSeen(t *testing.T) {
	forgotten := make(chan struct{})
	go func() { <-forgotten }()
	require.ErrorContains(t, goleak.Find(), "TestLeakIsSeen")
	close(forgotten)
	goleak.VerifyNone(t)
}

func TestOneBackupEachInterval(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newSeam(nil)
		store := open(t, disk)
		store.StartAutoBackup(time.Minute)
		pass(59 * time.Second)
		require.Zero(t, disk.creates.Load(), "the first is one interval away")
		pass(time.Second)
		for n := range int64(10) {
			require.Equal(t, n+1, disk.creates.Load())
			store.Set("k", strconv.FormatInt(n, 10))
			pass(time.Minute)
		}
		store.StartAutoBackup(time.Second) // changes nothing while it runs
		store.Set("k", "v")
		pass(time.Minute)
		require.Equal(t, int64(12), disk.creates.Load())
		store.StopAutoBackup()

		store.Set("k", "after")
		pass(10 * time.Minute) // goleak sees no timers: this does
		require.Equal(t, int64(12), disk.creates.Load())
	})
}

// The check above can fail: a schedule that was not stopped goes on.
func TestForgottenScheduleIsSeen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newSeam(nil)
		store := open(t, disk)
		store.StartAutoBackup(time.Minute)
		synctest.Wait()
		forgotten := store.state.auto
		store.state.auto = newAutoBackup()
		store.StopAutoBackup()
		pass(10 * time.Minute)
		require.NotZero(t, disk.creates.Load())
		forgotten.timer.Stop()
	})
}

func TestAutoBackupAgainAfterStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newSeam(nil)
		store := open(t, disk)
		store.StopAutoBackup() // without a start
		for round := range int64(3) {
			errs := store.AutoBackupErrors()
			store.StartAutoBackup(time.Minute)
			require.Equal(t, errs, store.AutoBackupErrors(), "before the start, the channel of that run")
			store.Set("k", strconv.FormatInt(round, 10))
			pass(time.Minute)
			require.Equal(t, round+1, disk.creates.Load())
			store.StopAutoBackup()
			store.StopAutoBackup() // twice
			_, open := <-errs
			require.False(t, open)
		}
	})
}

func TestNothingNewNothingWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newSeam(nil)
		store := open(t, disk)
		store.StartAutoBackup(time.Minute)
		defer store.StopAutoBackup()
		tick := func(want int64, because string) {
			t.Helper()
			pass(time.Minute)
			require.Equal(t, want, disk.creates.Load(), because)
		}
		tick(1, "no backup has succeeded yet")
		tick(1, "nothing has changed")
		store.Delete("missing")
		_ = store.Update(func(tx *Tx) error { tx.Set("k", "v"); return errors.New("no") })
		_ = store.Update(func(tx *Tx) error { tx.Get("k"); return nil })
		tick(1, "that changed nothing")
		_ = store.Update(func(tx *Tx) error { tx.Set("k", "v"); return nil })
		tick(2, "an update")
		store.Delete("k")
		tick(3, "a delete")
		require.NoError(t, store.Backup())
		require.Equal(t, int64(4), disk.creates.Load(), "Backup always writes")
		tick(4, "Backup has written it")
		require.NoError(t, disk.Process.Remove(storePath))
		tick(5, "the file is gone")
		disk.disk.WriteFile(storePath, []byte(`{"from":"elsewhere"}`))
		tick(7, "the file is somebody else's: one create for the copy of it, too")
		store.Set("k", "v")
		disk.failWith(syscall.EIO)
		tick(8, "fails")
		tick(9, "what failed is not done")
		disk.Heal()
		tick(10, "done")
		tick(10, "nothing has changed")
	})
}

func TestAutoBackupErrors(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newSeam(nil)
		store := open(t, disk)
		disk.failWith(&os.PathError{Op: "open", Path: "x", Err: syscall.ENOSPC})
		errs := store.AutoBackupErrors()
		require.Equal(t, 10, cap(errs))
		store.StartAutoBackup(time.Minute)
		pass(14 * time.Minute)
		require.Equal(t, int64(14), disk.creates.Load(), "nobody reads, backups go on")
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
		disk := newSeam(nil)
		store := open(t, disk)
		errs := store.AutoBackupErrors()
		for _, interval := range []time.Duration{0, -time.Second} {
			store.StartAutoBackup(interval)
			err := <-errs
			require.ErrorIs(t, err, ErrInterval)
			require.ErrorContains(t, err, interval.String())
		}
		store.StartAutoBackup(time.Minute)
		store.StartAutoBackup(0)
		require.ErrorIs(t, <-errs, ErrInterval)
		pass(3 * time.Minute)
		require.Equal(t, int64(1), disk.creates.Load(), "the run goes on")
		store.StopAutoBackup()
	})
}

// The last error of a run comes before its channel is closed, although the stop
// was asked for before it; and the store works meanwhile.
func TestStopWaitsForTheBackupInFlight(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newSeam(make(chan struct{}))
		store := open(t, disk)
		errs := store.AutoBackupErrors()
		store.StartAutoBackup(time.Minute)
		pass(5 * time.Minute) // ticks during the backup come to nothing
		require.Equal(t, int64(1), disk.creates.Load())

		var stopped atomic.Int64
		for range 3 {
			go func() {
				store.StopAutoBackup()
				stopped.Add(1)
			}()
		}
		pass(time.Hour)
		require.Zero(t, stopped.Load())
		store.Set("k", "v")
		require.Equal(t, 1, store.Len(), "the store works meanwhile")
		select {
		case <-errs:
			t.Fatal("closed before the backup has ended")
		default:
		}

		disk.failWith(syscall.EIO)
		disk.gate <- struct{}{}
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
		disk := newSeam(make(chan struct{}))
		store := open(t, disk)
		old := store.AutoBackupErrors()
		store.StartAutoBackup(time.Minute)
		pass(time.Minute)
		done := make(chan struct{})
		go func() { store.StopAutoBackup(); close(done) }()
		synctest.Wait()

		store.StartAutoBackup(time.Minute)
		next := store.AutoBackupErrors()
		require.NotEqual(t, old, next)
		disk.failWith(syscall.EIO)
		disk.gate <- struct{}{}
		<-done
		require.ErrorIs(t, <-old, syscall.EIO, "the old run's error")
		pass(time.Minute)
		disk.gate <- struct{}{}
		require.ErrorIs(t, <-next, syscall.EIO, "the next run's own")
		store.StopAutoBackup()
	})
}

// Backup calls that come during a save share the next, which is newer than any
// of them.
func TestBackupsShareTheNextSave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		disk := newSeam(make(chan struct{}))
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
		disk.gate <- struct{}{}
		require.NoError(t, <-done)
		require.Equal(t, "{\"k\":\"first\"}\n", disk.text(t))

		disk.gate <- struct{}{}
		for range 5 {
			require.NoError(t, <-done)
		}
		require.Equal(t, "{\"k\":\"4\"}\n", disk.text(t))
		require.Equal(t, int64(2), disk.creates.Load())
	})
}

// Start, Stop, Close, Backup and ticks of a microsecond, in real time.
func TestStressOfStartAndStop(t *testing.T) {
	defer goleak.VerifyNone(t)
	disk := newSeam(nil)
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
	wg.Wait()
	store.StopAutoBackup()
	goleak.VerifyNone(t)
	n := disk.creates.Load()
	runtime.Gosched()
	require.Equal(t, n, disk.creates.Load())
}

// Every operation on the disk fails in turn, once or from there on, until none is
// left to fail. What is said to be backed up is; what is not is old or new; and
// nobody's memory has changed.
func TestEveryFaultIsReported(t *testing.T) {
	for name, use := range map[string]func(store *Store) error{
		"Backup": (*Store).Backup,
		"Close":  (*Store).Close,
		"automatic": func(store *Store) error {
			errs := store.AutoBackupErrors()
			store.StartAutoBackup(time.Minute)
			pass(time.Minute)
			store.StopAutoBackup()
			return <-errs
		},
	} {
		for _, sticky := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sticky %v", name, sticky), func(t *testing.T) {
				faults := 0
				for n, fired := 0, true; fired; n++ {
					inBubble(t, func(t *testing.T) { fired = faulty(t, use, n, sticky) })
					faults++
				}
				require.Greater(t, faults, 25)
				t.Logf("%d faults", faults-1)
			})
		}
	}
}

// faulty loads, uses and reloads a store on a disk whose n-th operation fails,
// and reports whether there was an n-th.
func faulty(t *testing.T, use func(*Store) error, n int, sticky bool) (fired bool) {
	const before, after = "{\"k\":\"old\"}\n", "{\"k\":\"new\"}\n"
	disk := durabletest.NewDisk()
	disk.WriteFile(storePath, []byte(before))
	process := disk.Process()
	process.FailAt(n, syscall.EIO, sticky)

	store, err := newStore(process, storePath)
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
		require.ErrorContains(t, err, "genie: back up "+storePath)
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

// A process that is faster takes the file after this one has read it.
func TestNothingIsLoadedThatIsNotOwned(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(storePath, []byte(`{"k":"v"}`))
	process := disk.Process()
	process.Before(func(op, name string) {
		if op == "Rename" && name == storePath+".loaded" {
			_ = disk.Process().Remove(storePath)
		}
	})
	require.Zero(t, open(t, process).Len())
}

// On one processor, a backup that kept it would stop everybody for 10 ms at a
// time. The loop over the bare view is the one that does.
func TestABackupGivesWay(t *testing.T) {
	const n = 10_000
	entries := trie.New()
	for i := range n {
		entries.Set(strconv.Itoa(i), "")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	require.Greater(t, turnsOfOthers(givingWay(entries.View().All)), n/2)
	require.Less(t, turnsOfOthers(entries.View().All), n/10)
}

// turnsOfOthers counts how often another goroutine runs during a loop.
func turnsOfOthers(entries iter.Seq2[string, string]) (turns int) {
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

// The protocol of tell and own, with mailboxes so small that senders wait, on
// few and many processors. The race detector sees whether the state is handed
// on properly; a lost command would leave a caller waiting for ever.
func TestProtocol(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 8} {
		for _, capacity := range []int{1, 2, 64, mailboxCapacity} {
			t.Run(fmt.Sprintf("%d processors, mailbox of %d", procs, capacity), func(t *testing.T) {
				defer goleak.VerifyNone(t)
				runtime.GOMAXPROCS(procs)
				store := open(t, newSeam(nil))
				store.mailbox = make(chan command, capacity)
				counting(t, store)
				require.Zero(t, store.pending.Load(), "every command was handled, and counted once")
			})
		}
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
	wg.Wait()
	sum, _ := store.Get("sum")
	require.Equal(t, strconv.Itoa(callers*rounds), sum)
	for store.pending.Load() > 0 { // the owner is on its way out
		runtime.Gosched()
	}
}

// The shape that actor.go promises, read from the source: no locks in the
// package, and no public method that reaches past the mailbox into the state.
func TestShape(t *testing.T) {
	touching := map[string][]string{}
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					require.NotContains(t, []string{"Mutex", "RWMutex"}, sel.Sel.Name, name)
					if f, ok := decl.(*ast.FuncDecl); ok && sel.Sel.Name == "state" {
						touching[f.Name.Name] = append(touching[f.Name.Name], name)
					}
				}
				return true
			})
		}
	}
	require.Contains(t, touching, "handle", "else this test looks for the wrong thing")
	for function := range touching {
		// newStore makes it, handle passes it to commands, Update and its Tx borrow it.
		require.Contains(t, []string{"newStore", "handle", "Update", "entries", "end"}, function)
	}
}

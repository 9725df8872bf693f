//go:build unix

package crash_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/windevkay/forge/genie"
)

// A role is the work of a child. A child reports on its standard output, a line
// at a time. A kill does not take back a line that was written.
type role func(path string, args []string)

var roles = map[string]role{
	"write":   writeForever,
	"hold":    loadAndHold,
	"sync":    syncForever,
	"cycle":   writeTwice,
	"steps":   writeSteps,
	"limited": writeTooMuch,
	"add":     addOne,
	"serve":   serve,
	"read":    readMany,
	"raise":   raise,
	"idle":    func(string, []string) { awaitEnd() },
}

// say tells the parent. It tries again, since strace may make the first write fail.
// If the parent has ended, SIGPIPE ends the child.
func say(format string, args ...any) {
	if _, err := fmt.Printf(format+"\n", args...); err != nil {
		fmt.Printf(format+"\n", args...)
	}
}

// must ends a child that cannot do the work of its role.
func must(err error) {
	if err != nil {
		say("FAILED %v", err)
		os.Exit(1)
	}
}

// awaitGo waits for the parent. It tries again, since strace may make the first read
// fail. It returns false when the parent has closed the input.
func awaitGo() bool {
	var b [1]byte
	n, _ := os.Stdin.Read(b[:])
	if n == 0 {
		n, _ = os.Stdin.Read(b[:])
	}
	return n == 1
}

// awaitEnd waits until the parent closes the input.
func awaitEnd() { _, _ = io.Copy(io.Discard, os.Stdin) }

// duration returns the argument at that index, or 0 if it is missing.
func duration(args []string, at int) time.Duration {
	if at >= len(args) {
		return 0
	}
	d, err := time.ParseDuration(args[at])
	must(err)
	return d
}

// open returns the store. The first argument is the lock timeout. A child without
// arguments does not wait: the lock ends with the predecessor.
func open(path string, args []string) (*genie.Store, error) {
	return genie.NewStore(genie.WithPath(path), genie.WithLockTimeout(duration(args, 0)))
}

// loadAndSay loads, and tells the generation, the number of temporary files, and
// the time.
func loadAndSay(path string, args []string) *genie.Store {
	say("READY")
	store, err := open(path, args)
	if errors.Is(err, genie.ErrInUse) {
		say("IN USE %v", err)
		os.Exit(0)
	}
	must(err)
	loaded := time.Now().UnixNano()
	n, err := whole(store.Snapshot())
	must(err)
	names, err := temps(path)
	if !errors.Is(err, os.ErrPermission) {
		must(err)
	}
	say("LOADED %d %d %d", n, len(names), loaded)
	return store
}

func writeForever(path string, args []string) {
	store := loadAndSay(path, args)
	for n := generation(store) + 1; ; n++ {
		stamp(store, n)
		began := time.Now()
		must(store.Backup())
		say("ACK %d %d %d", n, began.UnixNano(), time.Now().UnixNano())
	}
}

// syncForever writes small steps, from several goroutines at once, beside automatic
// backups and whole ones. The number of an acknowledgement is that of its goroutine.
func syncForever(path string, args []string) {
	say("READY")
	store, err := genie.NewStore(genie.WithPath(path), genie.WithLockTimeout(duration(args, 0)), genie.WithJournal())
	must(err)
	var numbers [syncers]int
	for i := range numbers {
		value, _ := store.Get(fmt.Sprint("syncer ", i))
		numbers[i], _ = strconv.Atoi(value)
		say("FOUND %d %d", i, numbers[i])
	}
	say("LOADED 0 0 0")
	store.StartAutoBackup(2 * time.Millisecond)
	var all sync.WaitGroup
	for i, n := range numbers {
		all.Go(func() {
			for n++; ; n++ {
				must(store.Update(func(tx *genie.Tx) error {
					tx.Set(fmt.Sprint("syncer ", i), strconv.Itoa(n))
					tx.Set(fmt.Sprint("shadow ", i), strconv.Itoa(n)+filler)
					return nil
				}))
				must(store.Sync())
				say("ACK %d %d", i, n)
				if n%50 == 0 {
					must(store.Backup())
				}
			}
		})
	}
	all.Wait()
}

const syncers = 4

// loadAndHold owns the file until the parent closes the input, and ends without a
// Close.
func loadAndHold(path string, args []string) {
	store := loadAndSay(path, args)
	awaitEnd()
	runtime.KeepAlive(store)
}

// writeTwice loads, and saves with a Backup and with a Close, whether they succeed or
// not. It waits for the parent before the load and before the saves. The load runs on
// one thread, so that strace can count. The second argument is a umask.
func writeTwice(path string, args []string) {
	if len(args) > 1 {
		mask, err := strconv.ParseInt(args[1], 8, 0)
		must(err)
		syscall.Umask(int(mask))
	}
	runtime.LockOSThread()
	say("READY")
	awaitGo()
	store, err := open(path, args)
	if err != nil {
		say("ERROR %v", err)
		return
	}
	loaded := generation(store)
	say("LOADED %d", loaded)
	if !awaitGo() {
		return
	}
	saveAll(store, loaded, store.Backup, store.Close)
}

// saveAll has each save write a generation of its own.
func saveAll(store *genie.Store, n int, saves ...func() error) {
	for _, save := range saves {
		n++
		stamp(store, n)
		if err := save(); err != nil {
			say("ERROR %v", err)
		} else {
			say("ACK %d", n)
		}
	}
	say("DONE")
}

// writeSteps is writeTwice for a store with a journal: a whole file, and two steps.
func writeSteps(path string, args []string) {
	runtime.LockOSThread()
	say("READY")
	awaitGo()
	store, err := genie.NewStore(genie.WithPath(path), genie.WithLockTimeout(duration(args, 0)), genie.WithJournal())
	if err != nil {
		say("ERROR %v", err)
		return
	}
	loaded := generation(store)
	say("LOADED %d", loaded)
	if awaitGo() {
		saveAll(store, loaded, store.Sync, store.Sync, store.Sync)
	}
}

// writeTooMuch makes a backup that is larger than files may be, and a small backup
// afterwards.
func writeTooMuch(path string, args []string) {
	limit := syscall.Rlimit{Cur: 256 << 10, Max: 256 << 10}
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	store := loadAndSay(path, args)
	store.Set("large", string(make([]byte, 1<<20)))
	err := store.Backup()
	say("TOO LARGE %v", errors.Is(err, syscall.EFBIG))
	awaitGo()
	store.Delete("large")
	n := generation(store) + 1
	stamp(store, n)
	must(store.Backup())
	say("ACK %d", n)
}

// addOne is a short program. It adds the entry that the second argument names.
func addOne(path string, args []string) {
	say("READY")
	awaitGo()
	store, err := open(path, args)
	if errors.Is(err, genie.ErrInUse) {
		say("IN USE %v", err)
		return
	}
	must(err)
	must(store.Update(func(tx *genie.Tx) error {
		tx.Set(args[1], "added")
		return nil
	}))
	must(store.Close())
	say("ADDED")
}

// serve is a service. It writes until SIGTERM, and its second argument is the
// interval of the automatic backups.
func serve(path string, args []string) {
	stop := make(chan os.Signal, 1) // signal.Notify does not wait for a receiver
	signal.Notify(stop, syscall.SIGTERM)
	store := loadAndSay(path, args)
	failures := store.AutoBackupErrors()
	store.StartAutoBackup(duration(args, 1))
	pause := time.NewTicker(2 * time.Millisecond)
	for n := generation(store) + 1; ; n++ {
		stamp(store, n)
		select {
		case <-pause.C:
		case <-stop:
			must(store.Close())
			for err := range failures {
				must(err)
			}
			say("CLOSED %d", n)
			return
		}
	}
}

// readMany reads the backup on several goroutines. The first argument is the number
// of reads.
func readMany(path string, args []string) {
	say("READY")
	reads, err := strconv.Atoi(args[0])
	must(err)
	awaitGo()
	const goroutines = 5
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range reads / goroutines {
				s, err := look(path)
				must(err)
				say("READ %d %d %d", s.generation, s.began, s.ended)
			}
		})
	}
	wg.Wait()
}

// raise owns the file and starts a process that lives longer. If the first argument
// is "inherit", the new process gets the handle of the lock.
func raise(path string, args []string) {
	store := loadAndSay(path, nil)
	cmd := command(context.Background(), "idle", path)
	cmd.Stdin = os.Stdin
	if args[0] == "inherit" {
		cmd.ExtraFiles = []*os.File{handleOf(path + ".lock")}
	}
	must(cmd.Start())
	say("RAISED %d", cmd.Process.Pid)
	_ = cmd.Wait()
	runtime.KeepAlive(store)
}

// handleOf returns the handle of a file that this process has open. Only Linux has a
// list of the handles.
func handleOf(name string) *os.File {
	const handles = "/proc/self/fd"
	entries, err := os.ReadDir(handles)
	must(err)
	for _, entry := range entries {
		if target, _ := os.Readlink(filepath.Join(handles, entry.Name())); target == name {
			fd, err := strconv.Atoi(entry.Name())
			must(err)
			return os.NewFile(uintptr(fd), name)
		}
	}
	must(fmt.Errorf("%s is not open", name))
	return nil
}

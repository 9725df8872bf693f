package durable_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

func TestASecondProcessFailsAndTouchesNothing(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	disk.WriteFile(staleTemp, []byte("perhaps being written"))
	before := disk.Fingerprint()
	second := unstarted(t, disk)
	err := load(second)
	require.ErrorIs(t, err, durable.ErrInUse)
	require.EqualError(t, err, fmt.Sprintf("lock %s: in use by process %d", lockFile, os.Getpid()))
	require.Equal(t, before, disk.Fingerprint())

	p.commit("new")
	require.NoError(t, p.file.Close())
	second.restart("new")
	require.Empty(t, temps(disk))
}

// The text of the lock's file is for messages: nothing depends on it.
func TestALockFileThatSaysNothing(t *testing.T) {
	for _, text := range []string{"", "no number", "-4", "0", strings.Repeat("9", 30), "\x00\xff"} {
		disk := durabletest.NewDisk()
		disk.WriteFile(lockFile, []byte(text))
		p := unstarted(t, disk)
		h, err := p.OpenLock(lockFile)
		require.NoError(t, err)
		require.NoError(t, h.Lock())
		require.EqualError(t, load(unstarted(t, disk)), "lock "+lockFile+": in use by another process")
		require.NoError(t, h.Close())
		newProcess(t, disk, "")
	}
}

func TestTheLastFileLetsGo(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	before := durable.Claims()
	first := p.file
	p.restart("")
	second := p.file
	waiting := unstarted(t, disk)
	require.Equal(t, before, durable.Claims(), "one for both")

	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "again")
	require.False(t, first.Locked())
	require.True(t, second.Locked())
	require.ErrorIs(t, load(waiting), durable.ErrInUse)
	require.NoError(t, commit(second, "second"))

	require.NoError(t, second.Close())
	require.Equal(t, before-1, durable.Claims())
	waiting.restart("second")
}

func TestCreateAfterClose(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	p.commit("one")
	require.NoError(t, p.file.Close())
	p.commit("two")
	require.True(t, p.file.Locked())
	second := unstarted(t, disk)
	require.ErrorIs(t, load(second), durable.ErrInUse)
	require.NoError(t, p.file.Close())

	second.restart("two")
	require.ErrorIs(t, commit(p.file, "three"), durable.ErrInUse)
	require.False(t, p.file.Locked())
	_, err := loadInto(p.file)
	require.ErrorIs(t, err, durable.ErrInUse)
	require.Empty(t, temps(disk))
	second.commit("second's")
	require.NoError(t, second.file.Close())
	p.commit("four")
	requireFiles(t, disk, files{backup: "four", previous: "second's"})
}

// A stale lock does not count: whoever removes or replaces the lock's file gives
// the path away.
func TestTheLocksFileIsRemovedOrReplaced(t *testing.T) {
	for name, lose := range map[string]func(disk *durabletest.Disk){
		"removed":  func(disk *durabletest.Disk) { _ = disk.Process().Remove(lockFile) },
		"replaced": func(disk *durabletest.Disk) { disk.WriteFile(lockFile, nil) },
		"emptied":  func(disk *durabletest.Disk) { disk.Truncate(lockFile) },
	} {
		t.Run(name, func(t *testing.T) {
			disk := durabletest.NewDisk()
			disk.WriteFile(backup, []byte("old"))
			p := newProcess(t, disk, "old")
			lose(disk)
			p.commit("new")
			requireFiles(t, disk, files{backup: "new"})
			second := unstarted(t, disk)
			require.ErrorIs(t, load(second), durable.ErrInUse, "locked anew")
			if name == "emptied" {
				return
			}

			lose(disk)
			second.restart("new")
			pending, err := p.file.Create()
			require.ErrorIs(t, err, durable.ErrInUse)
			require.Nil(t, pending)
			require.Empty(t, temps(disk))
			require.Zero(t, p.OpenHandles())
			second.commit("second's")
			require.NoError(t, second.file.Close())
			p.commit("newer")
			data, _ := disk.ReadFile(previous)
			require.Equal(t, "second's", string(data), "what came between is kept")
		})
	}
}

// The lock is lost while a backup is written, and another process comes.
func TestTheLockIsLostDuringABackup(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	p.commit("old")
	pending, err := p.file.Create()
	require.NoError(t, err)
	_, err = pending.Write([]byte("new"))
	require.NoError(t, err)
	require.NoError(t, disk.Process().Remove(lockFile))
	second := newProcess(t, disk, "old")
	require.ErrorIs(t, pending.Commit(), durable.ErrInUse)
	requireFiles(t, disk, files{backup: "", handOver: "old"})
	second.commit("second's")
	requireFiles(t, disk, files{backup: "second's"})
}

// The owner in one process is not swept by the other Files of the process, and a
// File that joins does not wait.
func TestManyFilesOfAProcess(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	pending, err := p.file.Create()
	require.NoError(t, err)
	var others []*durable.File
	for range 10 {
		f, loaded, err := start(p.fsys, backup)
		require.NoError(t, err)
		require.Empty(t, loaded)
		others = append(others, f)
	}
	require.Len(t, temps(disk), 1)
	_, err = pending.Write([]byte("new"))
	require.NoError(t, err)
	require.NoError(t, pending.Commit())
	for _, f := range others {
		require.NoError(t, f.Close())
	}
	p.commit("newer")
	requireFiles(t, disk, files{backup: "newer"})
}

func TestOpenAndCloseAtOnce(t *testing.T) {
	disk := durabletest.NewDisk()
	p := unstarted(t, disk)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				f, _, err := start(p.fsys, backup)
				if err == nil && (i+j)%3 == 0 {
					err = commit(f, "x")
				}
				if err == nil {
					err = f.Close()
				}
				if err != nil {
					t.Errorf("%d, %d: %v", i, j, err)
				}
			}
		})
	}
	all.Wait()
	require.Empty(t, temps(disk))
	newProcess(t, disk, "x")
}

// A thousand goroutines wait for the lock of another process, and as many for the
// time that they were told. Those that come when it is free share it.
func TestAThousandWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := durabletest.NewDisk()
		owner := newProcess(t, disk, "")
		p := unstarted(t, disk)
		const free, waiters = 300 * time.Millisecond, 1000
		var all sync.WaitGroup
		began := time.Now()
		for i := range waiters {
			all.Go(func() {
				wait := time.Duration(i) * 500 * time.Microsecond
				f, err := durable.Open(p.fsys, backup, wait)
				took := time.Since(began)
				if wait < free && (!errors.Is(err, durable.ErrInUse) || took != wait) {
					t.Errorf("waited %v of %v: %v", took, wait, err)
				}
				if wait > free && (err != nil || took < free || took > free+20*time.Millisecond) {
					t.Errorf("waited %v of %v: %v", took, wait, err)
				}
				if err == nil {
					_ = f.Close()
				}
			})
		}
		time.Sleep(free)
		require.NoError(t, owner.file.Close())
		all.Wait()
		require.NoError(t, load(owner))
	})
}

func TestNoWaitFailsAtOnce(t *testing.T) {
	for _, wait := range []time.Duration{0, -time.Second} {
		synctest.Test(t, func(t *testing.T) {
			disk := durabletest.NewDisk()
			newProcess(t, disk, "")
			p := unstarted(t, disk)
			began := time.Now()
			_, err := durable.Open(p.fsys, backup, wait)
			require.ErrorIs(t, err, durable.ErrInUse)
			require.Zero(t, time.Since(began))
		})
	}
}

// The lock is lost while other Files of the process go on: each waits for its own
// time, at once, and a bubble's time goes on.
func TestManyWaitWithALostLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := durabletest.NewDisk()
		p := unstarted(t, disk)
		const wait = time.Second
		var all []*durable.File
		for range 20 {
			f, err := durable.Open(p.fsys, backup, wait)
			require.NoError(t, err)
			all = append(all, f)
		}
		require.NoError(t, disk.Process().Remove(lockFile))
		newProcess(t, disk, "")
		began := time.Now()
		var group sync.WaitGroup
		for _, f := range all {
			group.Go(func() {
				if _, err := loadInto(f); !errors.Is(err, durable.ErrInUse) {
					t.Errorf("%v", err)
				}
			})
		}
		group.Wait()
		require.Equal(t, wait, time.Since(began))
	})
}

// Only temporary names of this very file are swept, and only by the process that
// has just locked the path.
func TestOnlyTempsOfTheDeadAreSwept(t *testing.T) {
	spared := []string{
		"/disk/.backup.json.tmp-1", "/disk/.backup.json.tmp-", "/disk/.backup.json.tmp-notes", "/disk/backup.json.tmp-0123456789abcdef",
		"/disk/.backup.json.tmp-0123456789ABCDEF", "/disk/.backup.json.tmp-0123456789abcdef0", "/disk/.backup.json.tmp-0123456789abcdef~",
		"/disk/.backup.json.tmp-g123456789abcdef", "/disk/.other.json.tmp-0123456789abcdef", "/disk/x.backup.json.tmp-0123456789abcdef",
		"/disk/.x.backup.json.tmp-0123456789abcdef", "/elsewhere/.backup.json.tmp-0123456789abcdef",
	}
	disk := durabletest.NewDisk()
	for _, name := range spared {
		disk.WriteFile(name, []byte("x"))
	}
	dying := newProcess(t, disk, "")
	_, err := dying.file.Create()
	require.NoError(t, err)
	require.Len(t, temps(disk), len(spared)+1)
	dying.kill()

	p := newProcess(t, disk, "")
	require.ElementsMatch(t, spared, temps(disk))
	disk.WriteFile(staleTemp, nil)
	p.restart("")
	require.Contains(t, temps(disk), staleTemp, "the path was locked before")
	require.NoError(t, p.file.Close())
}

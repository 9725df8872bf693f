//go:build !plan9

package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// moded is a file system that gives new files another mode, and answers Chmod as
// vfat, CIFS and DrvFs do.
type moded struct {
	*durabletest.Process
	mode   fs.FileMode
	chmod  error
	called *int
}

func (m moded) Create(name string) (durable.Handle, error) {
	h, err := m.Process.Create(name)
	return modedHandle{h, m}, err
}

type modedHandle struct {
	durable.Handle
	of moded
}

type modedInfo struct {
	fs.FileInfo
	mode fs.FileMode
}

func (i modedInfo) Mode() fs.FileMode { return i.mode }

func (h modedHandle) Stat() (fs.FileInfo, error) {
	info, err := h.Handle.Stat()
	return modedInfo{info, h.of.mode}, err
}

func (h modedHandle) Chmod(fs.FileMode) error {
	*h.of.called++
	return h.of.chmod
}

func TestAFileSystemThatRefusesChmod(t *testing.T) {
	for _, test := range []struct {
		mode  fs.FileMode
		err   error
		fails bool
	}{
		{0o600, syscall.EPERM, false},
		{0o600, syscall.EIO, false}, // not called
		{0o755, nil, false},
		{0o755, syscall.EPERM, false},
		{0o777, syscall.ENOTSUP, false},
		{0o644, syscall.ENOSYS, false},
		{0o755, syscall.EIO, true},
		{0o755, syscall.EROFS, true},
		{0, nil, false},
		{0, syscall.EPERM, true},      // the user could not read the backup
		{0o400, syscall.EPERM, false}, // the user can read it, and replace it
		{0o200, syscall.ENOTSUP, true},
	} {
		disk := durabletest.NewDisk()
		disk.WriteFile(backup, []byte("old"))
		p := unstarted(t, disk)
		called := 0
		p.fsys = moded{p.Process, test.mode, test.err, &called}
		err := load(p)
		require.Equal(t, test.mode == 0o600, called == 0, test)
		if test.fails {
			require.ErrorIs(t, err, test.err, test)
			requireFiles(t, disk, files{backup: "old"})
			continue
		}
		require.NoError(t, err, test)
		p.commit("new")
		requireFiles(t, disk, files{backup: "new"})
	}
}

// Another program has a lease on a file, and gives it up on request: opens fail
// with EAGAIN for a while.
func TestALease(t *testing.T) {
	const wait = time.Second
	read := func(p *process) error {
		return durable.Read(p.fsys, backup, readInto(new(string)))
	}
	load := func(p *process) error {
		f, err := durable.Open(p.fsys, backup, wait)
		if err == nil {
			defer f.Close()
			_, err = loadInto(f)
		}
		return err
	}
	backUp := func(p *process) error {
		f, err := durable.Open(p.fsys, backup, wait)
		if err == nil {
			defer f.Close()
			err = commit(f, "new")
		}
		return err
	}
	for name, act := range map[string]func(*process) error{"Open " + backup: load, "Open " + handOver: load,
		"OpenLock " + lockFile: load, "Read": read, "Commit": backUp} {
		for _, lease := range []time.Duration{100 * time.Millisecond, 10 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				disk := durabletest.NewDisk()
				disk.WriteFile(handOver, []byte("older"))
				disk.WriteFile(backup, []byte("old"))
				p := unstarted(t, disk)
				began := time.Now()
				p.Before(func(op, file string) {
					leased := op+" "+file == name || !strings.Contains(name, " ") && op == "Open"
					if leased && time.Since(began) < lease {
						p.FailAt(p.Ops()-1, syscall.EAGAIN, false)
					}
				})
				err := act(p)
				took := time.Since(began)
				if lease < wait {
					require.NoError(t, err, name)
					require.InDelta(t, lease, took, float64(20*time.Millisecond))
				} else {
					require.ErrorIs(t, err, syscall.EAGAIN, name)
					require.Equal(t, wait, took, name)
					require.ErrorContains(t, err, "/disk/")
				}
				require.Empty(t, temps(disk))
			})
		}
	}
}

// Nothing else is waited for.
func TestOtherErrorsAreNotWaitedFor(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EACCES, syscall.ENXIO, syscall.EMFILE, syscall.EIO, syscall.ESTALE} {
		synctest.Test(t, func(t *testing.T) {
			disk := durabletest.NewDisk()
			disk.WriteFile(backup, []byte("old"))
			p := unstarted(t, disk)
			p.on("OpenLock", "", errno)
			began := time.Now()
			f, err := durable.Open(p.fsys, backup, time.Minute)
			require.ErrorIs(t, err, errno) // of the lock's file
			require.Nil(t, f)
			p.on("Open", "", errno)
			require.ErrorIs(t, durable.Read(p.fsys, backup, readInto(new(string))), errno)
			require.Zero(t, time.Since(began))
		})
	}
}

// What makes every backup impossible shows in the load, before anything moves.
func TestALoadShowsThatNoBackupCanBeWritten(t *testing.T) {
	for _, there := range []files{{}, {backup: ""}, {backup: "old"}, {handOver: "old"}} {
		for fails, errno := range map[string]syscall.Errno{
			"Create": syscall.EROFS, "SyncDir": syscall.EACCES, "Fstat": syscall.EIO,
		} {
			disk := durabletest.NewDisk()
			for name, contents := range there {
				disk.WriteFile(name, []byte(contents))
			}
			p := unstarted(t, disk)
			part := map[string]string{"Create": ".tmp-", "Fstat": ".tmp-"}[fails]
			p.on(fails, part, errno)
			require.ErrorIs(t, load(p), errno)
			requireFiles(t, disk, there)
			p.Before(nil)
			require.NoError(t, load(p))
		}
	}
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, nil)
	p := unstarted(t, disk)
	p.on("Rename", "backup.json", syscall.EBUSY)
	require.ErrorIs(t, load(p), syscall.EBUSY)
	requireFiles(t, disk, files{backup: ""})

	// The file was replaced once, so it can be replaced: not again by each store.
	p = newProcess(t, disk, "")
	before := p.Ops()
	p.restart("")
	for _, op := range p.OpNames()[before:] {
		require.False(t, strings.HasPrefix(op, "Rename "), op)
	}
}

// A handle of a lock gives an error that the disk would not give.
type badLock struct {
	durable.FS
	err   error
	times *int // how often, or for ever if nil
}

func (b badLock) OpenLock(name string) (durable.Handle, error) {
	h, err := b.FS.OpenLock(name)
	return badLockHandle{h, b}, err
}

type badLockHandle struct {
	durable.Handle
	of badLock
}

func (h badLockHandle) Lock() error {
	if h.of.times != nil {
		if *h.of.times == 0 {
			return h.Handle.Lock()
		}
		*h.of.times--
	}
	return os.NewSyscallError("flock", h.of.err)
}

func TestALockThatFails(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOLCK, syscall.EBADF, syscall.EIO, syscall.EINTR, syscall.EINVAL} {
		disk := durabletest.NewDisk()
		disk.WriteFile(backup, []byte("old"))
		disk.WriteFile(staleTemp, nil)
		p := unstarted(t, disk)
		p.fsys = badLock{FS: p.Process, err: errno}
		err := load(p)
		require.ErrorIs(t, err, errno)
		require.NotErrorIs(t, err, durable.ErrInUse)
		require.ErrorContains(t, err, lockFile)
		requireFiles(t, disk, files{backup: "old", staleTemp: ""})
		newProcess(t, disk, "old")
	}
}

func TestASignalDuringALock(t *testing.T) {
	disk := durabletest.NewDisk()
	p := unstarted(t, disk)
	times := 3
	p.fsys = badLock{FS: p.Process, err: syscall.EINTR, times: &times}
	p.restart("")
	require.Zero(t, times)
	require.ErrorIs(t, load(unstarted(t, disk)), durable.ErrInUse)
}

// Without locks, the process still knows what it has loaded. It sweeps nothing,
// since another process may be writing.
func TestAFileSystemWithoutLocks(t *testing.T) {
	for _, err := range []error{syscall.ENOTSUP, syscall.ENOSYS, errors.ErrUnsupported} {
		disk := durabletest.NewDisk()
		disk.WriteFile(backup, []byte("old"))
		disk.WriteFile(staleTemp, nil)
		p := unstarted(t, disk)
		p.fsys = badLock{FS: p.Process, err: err}
		p.restart("old")
		first := p.file
		p.restart("")
		require.NoError(t, commit(first, "new"))
		requireFiles(t, disk, files{backup: "new", staleTemp: ""})
		require.NoError(t, p.file.Close())
		require.NoError(t, first.Close())
		p.restart("new")
	}
}

package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrInUse is returned if another process has locked the file.
var ErrInUse = errors.New("in use by another process")

// heldBy is ErrInUse with the number of the process.
type heldBy int

func (pid heldBy) Error() string { return fmt.Sprintf("in use by process %d", int(pid)) }
func (pid heldBy) Unwrap() error { return ErrInUse }

const lockSuffix = ".lock"

// lockName returns the path of the file whose lock stands for all files of the
// path. The lock is not taken on the backup file, which Load renames and Commit
// replaces. The lock's file is never removed: a process that has opened it just
// before would lock a file without a name.
func (f *File) lockName() string { return f.path + lockSuffix }

// A claim is the share of this process in one path. The Files on the path have one
// claim.
type claim struct {
	at    place
	users int // Files that share the claim, also while they wait; guarded by claims.mu

	// path is the path's mutex: a Load holds it to its end, a Commit from step
	// W5. Where both are locked, path is locked before mu.
	path sync.Mutex
	// replaceable is whether a Load has found out that the file can be replaced.
	replaceable bool // guarded by path

	mu     sync.Mutex  // guards the fields below; held for moments
	lock   Handle      // of lockName, or nil
	locked fs.FileInfo // describes lock
	loader *File       // has loaded the hand-over file and not backed up since, or nil
	loaded fs.FileInfo // describes the hand-over file if loader is not nil
}

// A place is a path on one file system: the processes of a test have one each.
type place struct {
	fs   FS
	path string
}

// registry has the claims of this process. It keeps the handles of the locks
// from the garbage collector, which would close them. On a file system without
// locks the registry is the only protection. It has no channel: a channel that is
// made within a bubble of testing/synctest is of no use outside.
type registry struct {
	mu     sync.Mutex // guards claims; the claims' own mu is locked before it
	claims map[place]*claim
}

var claims = registry{claims: map[place]*claim{}}

func (r *registry) join(at place) *claim {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.claims[at]
	if c == nil {
		c = &claim{at: at}
		r.claims[at] = c
	}
	c.users++
	return c
}

// leave ends the use of c by f, and unlocks the path after the last one. While
// the lock's file is being closed the claim stays in the registry: a join that
// made a new claim meanwhile would find the path locked by its own process.
func (r *registry) leave(c *claim, f *File) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loader == f {
		c.loader = nil
	}
	if r.count(c, -1) == 0 && c.lock != nil {
		err = c.lock.Close()
		c.lock = nil // the loader was the last File, or has gone before
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.users == 0 {
		delete(r.claims, c.at)
	}
	return err
}

// count changes the number of users of c by n and returns it.
func (r *registry) count(c *claim, n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.users += n
	return c.users
}

// join has f share the claim on its path.
func (f *File) join() *claim {
	if f.claim == nil {
		f.claim = claims.join(place{f.fs, f.path})
	}
	return f.claim
}

// hold makes sure that this process has locked the path, and waits if another
// process has.
func (f *File) hold() error {
	c := f.join()
	f.deadline = time.Now().Add(f.wait)
	return f.held(f.patiently(func() error { return c.lockFor(f, true) }))
}

// enter locks the path's mutex, and the path as hold does. The caller calls leave
// at its end. While this File waits for another process it does not have the
// mutex, or the waits of many Files would add up.
func (f *File) enter() (leave func(), err error) {
	c := f.join()
	f.deadline = time.Now().Add(f.wait)
	err = f.patiently(func() error {
		c.path.Lock()
		err := c.lockFor(f, false)
		if err != nil {
			c.path.Unlock()
		}
		return err
	})
	return c.path.Unlock, f.held(err)
}

// held notes whether this File shares the lock. A File that never had a share
// leaves the claim.
func (f *File) held(err error) error {
	if err == nil {
		f.holds = true
	} else if !f.holds {
		_ = f.Close()
	}
	return err
}

// lockFor locks the path for f, unless this process has locked it and the lock is
// good. f may sweep if it has no backup of its own under way.
func (c *claim) lockFor(f *File, maySweep bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.dropStale(f); err != nil || c.lock != nil {
		return err
	}
	return c.take(f, maySweep)
}

// dropStale lets go of a lock whose file has lost its name: another process can
// lock the file that has the name now. The caller holds c.mu.
func (c *claim) dropStale(f *File) error {
	if c.lock == nil {
		return nil
	}
	there, err := f.stat(f.lockName())
	if err == nil && (there == nil || !f.fs.Same(there, c.locked)) {
		err = c.lock.Close()
		c.lock = nil
	}
	return err
}

// take locks the path for f, and sweeps if no process can be writing a backup:
// not another one, since the lock is real, and not this one, since f is the only
// File on the path and has just come. The caller holds c.mu.
func (c *claim) take(f *File, maySweep bool) error {
	h, info, err := f.takeLock()
	if h == nil {
		return err
	}
	c.lock, c.locked = h, info
	if err != nil || !maySweep || f.holds || claims.count(c, 0) > 1 {
		return nil
	}
	return f.sweep()
}

// takeLock opens and locks the lock's file. If the file system has no locks, it
// returns the handle and an error that is errors.ErrUnsupported.
func (f *File) takeLock() (Handle, fs.FileInfo, error) {
	name := f.lockName()
	for range attempts {
		if _, err := f.stat(name); err != nil {
			return nil, nil, err
		}
		h, err := f.fs.OpenLock(name)
		if err != nil {
			return nil, nil, heldAt(name, err)
		}
		info, err := h.Stat()
		if err != nil {
			h.Close()
			return nil, nil, err
		}
		locked := lock(h)
		if errors.Is(locked, ErrInUse) {
			locked = pidOf(h, locked)
		}
		if locked != nil && !errors.Is(locked, errors.ErrUnsupported) {
			h.Close()
			return nil, nil, heldAt(name, locked)
		}
		// The file may have lost its name between the opening and the locking.
		there, err := f.stat(name)
		if err == nil && there != nil && f.fs.Same(there, info) {
			f.sign(h)
			return h, info, locked
		}
		h.Close()
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, &fs.PathError{Op: "lock", Path: name, Err: errChanged}
}

// lock locks h, again if a signal has come between.
func lock(h Handle) (err error) {
	for range attempts {
		err = h.Lock()
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	return err
}

// pidOf adds the number of the process that has locked h, if h tells it.
func pidOf(h Handle, err error) error {
	line, _ := io.ReadAll(io.LimitReader(h, pidWidth))
	pid, bad := strconv.Atoi(strings.TrimSpace(string(line)))
	if bad != nil || pid <= 0 {
		return err
	}
	return heldBy(pid)
}

const pidWidth = 20

// sign writes the number of this process into the lock's file, for the messages
// of others, over the old number: the width is always the same. It also sees that
// later processes can open the file: as its owner, who is the backup file's, and
// after a umask of 0777. Errors do not matter to the lock.
func (f *File) sign(h Handle) {
	_, _ = fmt.Fprintf(h, "%-*d\n", pidWidth-1, os.Getpid())
	if info, err := h.Stat(); err == nil && !usable(info) {
		_ = h.Chmod(private)
	}
	if like, err := f.rightOwner(); err == nil {
		keepOwner(h, like)
	}
}

func heldAt(name string, err error) error {
	return &fs.PathError{Op: "lock", Path: name, Err: err}
}

const (
	// patiently tries again after firstPause, then after twice as long, and so
	// on. Pauses above lastPause would starve those who come late.
	firstPause = time.Millisecond
	lastPause  = 16 * time.Millisecond
)

// patiently calls try until the operation's deadline, while another process has
// locked the path, or another program has a file open in a way that passes.
func (f *File) patiently(try func() error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := try()
		left := time.Until(f.deadline)
		if left <= 0 || !errors.Is(err, ErrInUse) && !passes(err) {
			return err
		}
		time.Sleep(min(pause, left))
	}
}

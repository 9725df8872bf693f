//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// lexical is whether the system itself drops the .. of a path together with the
// name before it.
const lexical = false

// replacesOpen is whether Rename may replace a file that this process has open.
const replacesOpen = true

// Create makes name, which no link leads to. Writes go to the end of the file, wherever
// that is by then, so a step never overwrites the text of another program.
func (OS) Create(name string) (Handle, error) {
	return opened(os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600))
}

// Open opens without blocking, or a pipe put in the file's place would hang it.
func (OS) Open(name string) (Handle, error) {
	return opened(os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0))
}

// errLinked is for the file of a lock that has a second name, which a stranger
// may have given it.
var errLinked = errors.New("has more than one name (a hard link)")

// OpenLock opens for writing too: NFS locks no other file exclusively.
func (OS) OpenLock(name string) (Handle, error) {
	h, err := opened(os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600))
	if err != nil {
		return nil, err
	}
	info, err := h.Stat()
	if err == nil && info.Sys().(*syscall.Stat_t).Nlink > 1 {
		err = errLinked
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Chown does nothing if the owner and the group are the right ones.
func (f file) Chown(like fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, want := info.Sys().(*syscall.Stat_t), like.Sys().(*syscall.Stat_t)
	if is.Uid == want.Uid && is.Gid == want.Gid {
		return nil
	}
	return f.File.Chown(int(want.Uid), int(want.Gid))
}

// trusted refuses a file of a stranger in a folder where strangers may make
// files but not remove those of others, such as /tmp: it is neither the user's
// nor the folder owner's. Linux does so for links (protected_symlinks).
func trusted(name string, info fs.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	if int(owner) == syscall.Geteuid() {
		return nil
	}
	path, _ := filepath.Split(name)
	folder, err := os.Stat(path)
	if err != nil {
		return err
	}
	open := folder.Mode()&fs.ModeSticky != 0 && folder.Mode().Perm()&0o022 != 0
	if !open || owner == folder.Sys().(*syscall.Stat_t).Uid {
		return nil
	}
	return &fs.PathError{Op: "open", Path: name,
		Err: fmt.Errorf("%w: user %d has made it in a folder that all may write to", fs.ErrPermission, owner)}
}

// Rename is rename(2).
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// SyncDir forgives a file system that cannot sync a folder, as PostgreSQL's
// fsync_fname_ext does: the order in which names reach the disk is then the file
// system's own. It does not forgive a folder that may not be read: acknowledged
// backups were lost in 47 of 126 power cuts.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: the folder must be readable to be synced", err)
	}
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	for _, unable := range []error{syscall.EBADF, syscall.EINVAL, syscall.ENOTSUP} {
		if errors.Is(err, unable) {
			return nil
		}
	}
	return err
}

// passes reports whether err ends by itself: EAGAIN of an open tells that another
// program has a lease on the file and is giving it up.
func passes(err error) bool { return errors.Is(err, syscall.EAGAIN) }

func isMount(err error) bool { return errors.Is(err, syscall.EBUSY) }

//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Create makes and locks name. A sweep may take the file between the two, for
// the remains of a dead process; then the name is as good as taken.
func (o OS) Create(name string) (Handle, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	swept := !tryLock(f) // the sweep has locked it and is about to remove it
	info, err := f.Stat()
	if err == nil && !swept {
		there, gone := os.Lstat(name)
		swept = gone != nil || !os.SameFile(info, there)
	}
	if err == nil && !swept {
		return f, nil
	}
	f.Close()
	if err == nil {
		err = &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	return nil, err
}

// Own opens without blocking, or a pipe put in the file's place would hang it.
func (OS) Own(name string) (Handle, bool, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, false, err
	}
	return f, tryLock(f), nil
}

// replacesOpenFiles says that Rename may replace a file that somebody has open.
const replacesOpenFiles = true

// Rename is rename(2).
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// SyncDir forgives what a file system cannot do, as PostgreSQL's
// fsync_fname_ext does: a directory that may be searched but not read, and one
// that cannot be synced. There the order of what reaches the disk is the file
// system's own. An I/O error it reports.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
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

//go:build !unix && !windows

package durable

import (
	"io/fs"
	"os"
	"runtime"
)

// js, wasip1 and Plan 9 have neither locks nor a sure way to sync a folder.
// Ownership is known within the process only.

// lexical is whether the system itself drops the .. of a path together with the
// name before it.
const lexical = runtime.GOOS == "plan9"

// replacesOpen is whether Rename may replace a file that this process has open.
const replacesOpen = false

// Create makes name. Writes go to the end of the file, wherever that is by then.
func (OS) Create(name string) (Handle, error) {
	return opened(os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600))
}

// Open opens name if it is a regular file.
func (OS) Open(name string) (Handle, error) {
	info, err := os.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	if err != nil {
		return nil, err
	}
	return opened(os.Open(name))
}

// OpenLock makes the file, although it cannot be locked: see Lock.
func (OS) OpenLock(name string) (Handle, error) {
	return opened(os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600))
}

// Chown does nothing.
func (file) Chown(fs.FileInfo) error { return nil }

func trusted(string, fs.FileInfo) error { return nil }

// Rename is os.Rename.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// SyncDir does nothing.
func (OS) SyncDir(string) error { return nil }

func passes(error) bool { return false }

func isMount(error) bool { return false }

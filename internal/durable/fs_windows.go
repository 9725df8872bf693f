package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// lexical is whether the system itself drops the .. of a path together with the
// name before it.
const lexical = true

// replacesOpen is whether Rename may replace a file that this process has open.
const replacesOpen = false

const (
	shareAll     = syscall.FILE_SHARE_READ | syscall.FILE_SHARE_WRITE | syscall.FILE_SHARE_DELETE
	shareNothing = 0

	readWrite = syscall.GENERIC_READ | syscall.GENERIC_WRITE
)

// Create makes name, and allows that it is renamed while it is open.
func (OS) Create(name string) (Handle, error) {
	return opened(open(name, readWrite, shareAll, syscall.CREATE_NEW))
}

// Open asks for write access as well, without which Sync fails, if that is
// permitted.
func (OS) Open(name string) (Handle, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	h, err := opened(open(name, readWrite, shareAll, syscall.OPEN_EXISTING))
	if errors.Is(err, fs.ErrPermission) {
		return opened(open(name, syscall.GENERIC_READ, shareAll, syscall.OPEN_EXISTING))
	}
	return h, err
}

// OpenLock opens the file so that no other process can, which is the lock.
func (OS) OpenLock(name string) (Handle, error) {
	h, err := opened(open(name, readWrite, shareNothing, syscall.OPEN_ALWAYS))
	if errors.Is(err, errSharingViolation) {
		return nil, ErrInUse
	}
	return h, err
}

func open(name string, access, share, disposition uint32) (*os.File, error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	h, err := syscall.CreateFile(path, access, share, nil, disposition, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

// Lock has nothing to do: see OpenLock.
func (file) Lock() error { return nil }

// Chown does nothing: a new file has the access rules of its folder.
func (file) Chown(fs.FileInfo) error { return nil }

// trusted trusts every file: a folder here has no sticky bit.
func trusted(string, fs.FileInfo) error { return nil }

const (
	errSharingViolation = syscall.Errno(32)

	moveReplaceExisting = 0x1
	moveWriteThrough    = 0x8

	// Scanners and indexers open every new file for a moment. cmd/go retries
	// for as long (its package robustio).
	scanners = 2 * time.Second
)

var moveFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("MoveFileExW")

// Rename returns when the new name is on the disk: os.Rename would not wait for
// it, and there is no other way to sync a directory.
func (OS) Rename(from, to string) error {
	for deadline := time.Now().Add(scanners); ; time.Sleep(10 * time.Millisecond) {
		err := move(from, to)
		if err == nil {
			return nil
		}
		passing := errors.Is(err, syscall.ERROR_ACCESS_DENIED) || errors.Is(err, errSharingViolation)
		if !passing || time.Now().After(deadline) {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
		}
	}
}

func move(from, to string) error {
	f, err := syscall.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	t, err := syscall.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	ok, _, err := moveFileEx.Call(uintptr(unsafe.Pointer(f)), uintptr(unsafe.Pointer(t)), moveReplaceExisting|moveWriteThrough)
	if ok == 0 {
		return err
	}
	return nil
}

// SyncDir has nothing to do: Rename writes through.
func (OS) SyncDir(string) error { return nil }

// passes reports whether err ends by itself, as when a scanner has the file open.
func passes(err error) bool { return errors.Is(err, errSharingViolation) }

func isMount(error) bool { return false }

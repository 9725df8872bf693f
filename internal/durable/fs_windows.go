package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A file is locked here by the way it is open: nobody else may read or write it,
// but it may be renamed and removed. That is flock's behaviour, near enough, and
// the system ends it with the process.
const shareNothingButDelete = syscall.FILE_SHARE_DELETE

// Create makes name and opens it so that nobody else can.
func (OS) Create(name string) (Handle, error) {
	return open(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.CREATE_NEW)
}

// Own asks for write access as well, without which Sync fails.
func (OS) Own(name string) (Handle, bool, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	f, err := open(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.OPEN_EXISTING)
	if errors.Is(err, errSharingViolation) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return f, true, nil
}

func open(name string, access, disposition uint32) (*os.File, error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	h, err := syscall.CreateFile(path, access, shareNothingButDelete, nil, disposition, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

const (
	errSharingViolation = syscall.Errno(32)

	moveReplaceExisting = 0x1
	moveWriteThrough    = 0x8

	// Scanners and indexers open every new file for a moment. cmd/go retries
	// for as long (its package robustio).
	scanners = 2 * time.Second
)

// replacesOpenFiles says that Rename may replace a file that somebody has open.
// Which systems and file systems allow that here depends on their age.
const replacesOpenFiles = false

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

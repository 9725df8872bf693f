package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is the only door to the disk. [OS] is the real one; tests have one that
// fails, and one that forgets what was not synced.
type FS interface {
	// Resolve returns the absolute path of the file that path leads to, through
	// symbolic links. The file need not exist, its folder must. The error is
	// ErrNotRegular if path can only be a folder.
	Resolve(path string) (string, error)
	// Stat describes name itself, not the file that a link leads to.
	Stat(name string) (fs.FileInfo, error)
	// Same reports whether a and b, of Stat, describe one file.
	Same(a, b fs.FileInfo) bool
	// List returns the names in dir.
	List(dir string) ([]string, error)
	// Create makes name, which must not exist, for the user's own eyes only.
	Create(name string) (Handle, error)
	// Open opens the regular file name for reading. It follows no link and does
	// not wait for another program.
	Open(name string) (Handle, error)
	// OpenLock opens the regular file name for [Handle.Lock], and makes it if
	// it does not exist. Where opening and locking are one, the error is
	// ErrInUse if another process has the lock.
	OpenLock(name string) (Handle, error)
	// Rename moves from to to, replacing a file of that name, in one step.
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names in dir durable, where the system has a way to.
	SyncDir(dir string) error
}

// A Handle is an open file of an [FS].
type Handle interface {
	io.Reader
	io.Writer
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
	// SyncData is Sync without what is not needed to read the contents, such as
	// the time of the last write.
	SyncData() error
	Chmod(mode fs.FileMode) error
	// Chown gives the file the owner of the file that like describes.
	Chown(like fs.FileInfo) error
	// Lock locks a handle of OpenLock until Close or the end of the process,
	// however it ends. The error is ErrInUse if another process has the lock, and
	// errors.ErrUnsupported if the file system has no locks.
	Lock() error
}

// OS is the file system of the machine.
type OS struct{}

// A file is a Handle of OS.
type file struct{ *os.File }

// maxLinks is where Linux gives up as well.
const maxLinks = 40

// Resolve follows the links itself: filepath.EvalSymlinks fails on a link whose
// target does not exist yet, which the first backup is to make.
func (o OS) Resolve(path string) (string, error) {
	if isFolder(path) {
		return "", &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	given := path
	path, err := absolute(path)
	if err != nil {
		return "", err
	}
	for range maxLinks {
		if isFolder(path) {
			return "", &fs.PathError{Op: "open", Path: given, Err: ErrNotRegular}
		}
		folder, name := filepath.Split(path)
		if folder, err = resolveFolder(folder); err != nil {
			return "", err
		}
		path = folder + name
		target, err := os.Readlink(path)
		if err != nil { // not a link, or no file: the steps to come will tell
			return path, nil
		}
		if _, err := o.Stat(path); err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = folder + target
		}
		path = target
	}
	return "", &fs.PathError{Op: "open", Path: given, Err: errors.New("too many links")}
}

// isFolder reports whether path can only be the name of a folder.
func isFolder(path string) bool {
	_, name := filepath.Split(path)
	return name == "" || name == "." || name == ".."
}

// resolveFolder returns the path of folder without links, so that one file has
// one path within the process, with a separator behind it. Some links, such as
// those in /proc, lead elsewhere than their text says; a folder behind one keeps
// the path that it was given.
func resolveFolder(folder string) (string, error) {
	there, err := os.Stat(folder)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return folder, nil
	}
	if info, err := os.Stat(resolved); err != nil || !os.SameFile(there, info) {
		return folder, nil
	}
	if !os.IsPathSeparator(resolved[len(resolved)-1]) {
		resolved += string(filepath.Separator)
	}
	return resolved, nil
}

// Stat is os.Lstat. It refuses a file that a stranger may have put there.
func (OS) Stat(name string) (fs.FileInfo, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	return info, trusted(name, info)
}

// opened returns f as a Handle if it is a regular file that may be used.
func opened(f *os.File, err error) (Handle, error) {
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: f.Name(), Err: ErrNotRegular}
	}
	if err == nil {
		err = trusted(f.Name(), info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return file{f}, nil
}

// Same is os.SameFile.
func (OS) Same(a, b fs.FileInfo) bool { return os.SameFile(a, b) }

// List reads the whole directory, unsorted.
func (OS) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// Remove is os.Remove.
func (OS) Remove(name string) error { return os.Remove(name) }

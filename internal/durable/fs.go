package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotRegular is what a directory, a pipe, a socket or a device gives where a
// backup file should be.
var ErrNotRegular = errors.New("not a regular file")

// FS is the only door to the disk. [OS] is the real one; tests have one that
// fails, and one that forgets what was not synced.
type FS interface {
	// Resolve returns the absolute path of the file that path leads to, through
	// symbolic links. The file need not exist.
	Resolve(path string) (string, error)
	// Stat describes name itself, not what a link leads to.
	Stat(name string) (fs.FileInfo, error)
	// Same reports whether a and b, of Stat, describe one file.
	Same(a, b fs.FileInfo) bool
	// List returns the names in dir.
	List(dir string) ([]string, error)
	// Create makes name, which must not exist, for its owner's eyes only, and
	// locks it. fs.ErrExist: try another name.
	Create(name string) (Handle, error)
	// Own opens the regular file name for reading and tries to lock it. The
	// lock is held until Close or the end of the process, however it ends, and
	// follows the file when it is renamed. owned is false where somebody else
	// holds it; then the handle may be nil.
	Own(name string) (h Handle, owned bool, err error)
	// Rename moves from to to, replacing what is there, in one step.
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
	Chmod(mode fs.FileMode) error
}

// OS is the file system of the machine.
type OS struct{}

// maxLinks is where Linux gives up as well.
const maxLinks = 40

// Resolve follows the links itself: filepath.EvalSymlinks fails on a link whose
// target does not exist yet, which the first backup is to make.
func (OS) Resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for range maxLinks {
		dir, base := filepath.Split(path)
		if dir, err := filepath.EvalSymlinks(dir); err == nil {
			path = filepath.Join(dir, base)
		}
		target, err := os.Readlink(path)
		if err != nil { // not a link, or nothing: the steps to come will tell
			return filepath.Clean(path), nil
		}
		if !filepath.IsAbs(target) {
			// Not Join: in a target like link/../file, only the system knows
			// where the .. leads.
			target = filepath.Dir(path) + string(filepath.Separator) + target
		}
		path = target
	}
	return "", &fs.PathError{Op: "resolve", Path: path, Err: errors.New("too many links")}
}

// Stat is os.Lstat.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

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

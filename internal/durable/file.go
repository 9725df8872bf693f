// Package durable keeps one file such that a reader finds all of the old
// contents or all of the new, whatever happens in between: a full disk, an I/O
// error, kill -9, a power cut.
//
// A [File] is replaced by a whole new one (Create, Write, Commit) and is emptied
// by handing its contents over to a second file (Load), which stays until the
// next Commit. docs/design.md gives the order of the operations and what each
// is for; here each step says what would be lost without it.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
)

// A File is a backup file. It belongs to one goroutine at a time.
type File struct {
	fs   FS
	path string

	// left is what Load or Commit left at path, or nil. A file that is
	// something else has been written by somebody else.
	left fs.FileInfo

	// loaded is the hand-over file, if this File loaded it: ours to remove, and
	// nobody else's to load, until a Commit.
	loaded Handle
}

// Open returns the File that path leads to, which need not exist; its folder
// must. It removes what dead processes left of unfinished backups.
func Open(fsys FS, path string) (*File, error) {
	path, err := fsys.Resolve(path)
	if err != nil {
		return nil, err
	}
	f := &File{fs: fsys, path: path}
	if _, err := f.stat(path); err != nil {
		return nil, err
	}
	return f, f.sweep()
}

// Path returns the absolute path of the file, with links resolved.
func (f *File) Path() string { return f.path }

// HandOver returns the path of the file that holds what was loaded, from the
// load to the next backup.
func (f *File) HandOver() string { return f.path + ".loaded" }

// Previous returns the path under which a file of somebody else is kept that
// was in the way of a backup.
func (f *File) Previous() string { return f.path + ".prev" }

// Intact reports whether the file is as this File left it.
func (f *File) Intact() bool {
	now, err := f.stat(f.path)
	return err == nil && f.isLeft(now)
}

func (f *File) isLeft(now fs.FileInfo) bool {
	return now != nil && f.left != nil && f.fs.Same(now, f.left) &&
		now.Size() == f.left.Size() && now.ModTime().Equal(f.left.ModTime())
}

// stat describes the regular file name, or returns nil where there is none.
func (f *File) stat(name string) (fs.FileInfo, error) {
	info, err := f.fs.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	if err != nil {
		return nil, err
	}
	return info, nil
}

// filled is stat for files with something in them.
func (f *File) filled(name string) (bool, error) {
	info, err := f.stat(name)
	return info != nil && info.Size() > 0, err
}

func (f *File) syncDir() error { return f.fs.SyncDir(filepath.Dir(f.path)) }

// tempPrefix starts the names of files that are being written.
func (f *File) tempPrefix() string { return "." + filepath.Base(f.path) + ".tmp-" }

// createTemp makes a file beside the real one, on the same file system, which
// a rename cannot leave.
func (f *File) createTemp() (h Handle, name string, err error) {
	for range attempts {
		name = filepath.Join(filepath.Dir(f.path), f.tempPrefix()+strconv.FormatUint(rand.Uint64(), 36))
		h, err = f.fs.Create(name)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err == nil {
		if err = h.Chmod(0o600); err != nil { // a umask of 0777 made it 0000
			f.discard(h, name)
		}
	}
	return h, name, err
}

// discard removes a file that came to nothing. Its errors have nobody to help:
// the one that led here is reported, and the next Open sweeps.
func (f *File) discard(h Handle, name string) {
	h.Close()
	_ = f.fs.Remove(name)
}

// sweep removes the temporary files that nobody holds a lock on. A folder that
// may be searched but not listed keeps them.
func (f *File) sweep() error {
	dir := filepath.Dir(f.path)
	names, err := f.fs.List(dir)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, f.tempPrefix()) {
			continue
		}
		name = filepath.Join(dir, name)
		h, dead, err := f.fs.Own(name)
		if err == nil && dead {
			_ = f.fs.Remove(name)
		}
		if h != nil {
			h.Close()
		}
	}
	return nil
}

// displace locks what a backup is to take the place of, so that no Load can hand
// it over meanwhile, and returns it, or nil where there is nothing. What is not
// ours is kept.
func (f *File) displace() (old Handle, err error) {
	var ours bool
	err = inTurn(func() error {
		old, ours, err = f.standing()
		return err
	})
	if old == nil || ours {
		return old, err
	}
	if err := f.copyToPrevious(old); err != nil {
		old.Close()
		return nil, fmt.Errorf("keep a copy of a file written by somebody else: %w", err)
	}
	return old, nil
}

// standing returns the file at path, locked, if it has contents.
func (f *File) standing() (h Handle, ours bool, err error) {
	full, err := f.filled(f.path)
	if err != nil || !full {
		return nil, false, err
	}
	if h, err = f.own(f.path); err != nil {
		return nil, false, err
	}
	now, err := f.stat(f.path)
	if err == nil && (now == nil || now.Size() == 0) {
		err = errMoved
	}
	if err != nil {
		h.Close()
		return nil, false, err
	}
	return h, f.isLeft(now), nil
}

// copyToPrevious makes a copy, since a hard link is not to be had everywhere and
// a rename would leave path empty for a moment.
func (f *File) copyToPrevious(from Handle) error {
	h, name, err := f.createTemp()
	if err != nil {
		return err
	}
	if _, err = io.Copy(h, from); err == nil {
		err = h.Sync()
	}
	if err == nil {
		err = f.fs.Rename(name, f.Previous())
	}
	if err != nil {
		f.discard(h, name)
		return err
	}
	// Its name must be on the disk before the file is replaced.
	return errors.Join(f.syncDir(), h.Close())
}

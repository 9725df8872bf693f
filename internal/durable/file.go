// Package durable keeps one file such that a reader finds all of the old
// contents or all of the new, whatever happens in between: a full disk, an I/O
// error, kill -9, a power cut.
//
// A [File] belongs to one process at a time: [Open] locks the path or fails. The
// file is replaced by a whole new one (Create, Write, Commit) and is emptied by
// moving its contents to the hand-over file (Load), which stays until the next
// Commit. A file that CommitLive has made may grow by whole lines (Append).
// docs/design.md has Load, Commit and Append as tables of numbered steps; the
// comments here have the same numbers. [Read] only reads, beside a running owner
// too.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrNotRegular is returned where a directory, a link, a pipe, a socket or a
// device has the name of a file, and for a path that can only name a directory.
var ErrNotRegular = errors.New("not a regular file")

var (
	errReserved = errors.New("the name is of the form that is kept for files beside a backup file")
	errChanged  = errors.New("another program changes the file again and again")
)

// attempts bounds how often an operation begins again because another program
// has changed a file meanwhile.
const attempts = 100

// A File is a backup file. A File belongs to one goroutine at a time, but for
// Append; several Files of one process may have one path.
type File struct {
	fs     FS
	path   string
	folder string // of path, with the separator behind it
	name   string // of path, without the folder
	wait   time.Duration

	// claim is shared by the Files on path; nil before Open has succeeded and
	// after Close.
	claim *claim
	// holds is whether claim was locked for this File: false while Open waits.
	holds bool

	// deadline is when the operation that runs stops waiting for others.
	deadline time.Time

	// lastSeen describes the file as this File has last written or emptied it, or
	// is nil. If the file is different, another program has written it.
	lastSeen fs.FileInfo
	// unsure describes the backup of a Commit that has failed in W9 or W10, or is
	// nil. The file may be that backup, which is no stranger's. Its name may not be
	// durable, so the file is not intact either.
	unsure fs.FileInfo

	// live is the file while lines may be appended to it, or nil. Guarded by
	// claim.path, as lastSeen is from the first CommitLive on.
	live Handle
}

// Open locks the file that path leads to, which need not exist; its folder must.
// If another process has locked the file, Open waits, and returns an error that
// is [ErrInUse] when wait is over. Other errors tell that the path or the names
// beside it are not usable. Open changes neither the file nor the files beside
// it, the lock's own and what dead processes have left of unfinished backups
// aside.
func Open(fsys FS, path string, wait time.Duration) (*File, error) {
	resolved, err := fsys.Resolve(path)
	if err != nil {
		return nil, err
	}
	f := newFile(fsys, resolved, wait)
	for _, name := range []string{filepath.Base(path), f.name} {
		if f.reserved(name) {
			return nil, &fs.PathError{Op: "open", Path: path, Err: errReserved}
		}
	}
	// The last name is the longest that is made: it shows whether all fit.
	for _, name := range []string{f.path, f.HandOver(), f.Previous(), f.newTempName()} {
		if _, err := f.stat(name); err != nil {
			return nil, err
		}
	}
	if err := f.hold(); err != nil {
		return nil, err
	}
	return f, nil
}

func newFile(fsys FS, path string, wait time.Duration) *File {
	folder, name := filepath.Split(path)
	return &File{fs: fsys, path: path, folder: folder, name: name, wait: wait}
}

// reserved reports whether a store of that name would share files with a store
// of another name. Some file systems take upper for lower case.
func (f *File) reserved(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range []string{handOverSuffix, previousSuffix, lockSuffix} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return tempOfAny.MatchString(name)
}

// Close lets go of the file: the last File on a path that this process closes
// unlocks the path. A later Create locks the path again, and this File then owns
// nothing that it has loaded before. Close may be called again.
func (f *File) Close() error {
	if f.claim == nil {
		return nil
	}
	f.dropLive()
	c := f.claim
	f.claim, f.holds = nil, false
	return claims.leave(c, f)
}

// Locked reports whether this File shares the lock of its path: from Open, or from
// a Create after Close, to the next Close.
func (f *File) Locked() bool { return f.claim != nil }

// Path returns the absolute path of the file, with links resolved.
func (f *File) Path() string { return f.path }

const (
	handOverSuffix = ".loaded"
	previousSuffix = ".prev"
)

// HandOver returns the path of the file that holds the loaded contents, from the
// load to the next backup.
func (f *File) HandOver() string { return f.path + handOverSuffix }

// IsHandOver reports whether name, as Load and Read give it, is that of a hand-over file.
func IsHandOver(name string) bool { return strings.HasSuffix(name, handOverSuffix) }

// Previous returns the path of the copy that Commit makes of a file that another
// program has written, and that Load makes of an older hand-over file.
func (f *File) Previous() string { return f.path + previousSuffix }

// Intact reports whether the file is as this File has last written or emptied it.
func (f *File) Intact() bool {
	if f.claim != nil {
		f.claim.path.Lock()
		defer f.claim.path.Unlock()
	}
	now, err := f.stat(f.path)
	return err == nil && f.unchanged(now, f.lastSeen)
}

// own reports whether this File has written or emptied the file that now describes.
func (f *File) own(now fs.FileInfo) bool {
	return f.unchanged(now, f.lastSeen) || f.unchanged(now, f.unsure)
}

// unchanged reports whether a and b are of one file, with no write in between. The
// identity and the size tell where two writes have one time: clocks of file
// systems are coarse, which a durabletest.Disk is not.
func (f *File) unchanged(a, b fs.FileInfo) bool {
	return a != nil && b != nil && f.fs.Same(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// stillAs returns errChanged if name is not the file that before describes, or
// exists although before is nil.
func (f *File) stillAs(name string, before fs.FileInfo) error {
	now, err := f.stat(name)
	if err == nil && !(now == nil && before == nil) && !f.unchanged(now, before) {
		err = errChanged
	}
	return err
}

// stat describes the regular file name, or returns nil if name does not exist.
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

// open opens the regular file name for reading, or returns nil if name does not
// exist.
func (f *File) open(name string) (Handle, fs.FileInfo, error) {
	var h Handle
	err := f.patiently(func() (err error) {
		h, err = f.fs.Open(name)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := h.Stat()
	if err != nil {
		h.Close()
		return nil, nil, err
	}
	return h, info, nil
}

func (f *File) syncFolder() error { return f.fs.SyncDir(f.folder) }

// renameAt renames name to to, where one of the two is the backup file.
func (f *File) renameAt(name, to string) error {
	err := f.fs.Rename(name, to)
	if isMount(err) {
		return fmt.Errorf("%w (a file that is mounted by itself cannot be replaced: mount its folder)", err)
	}
	return err
}

// keepPrevious gives name, which has contents, the name Previous, and returns
// when that survives a power cut. The look at Previous gives a clear error where the
// rename alone would fail, or would replace a link.
func (f *File) keepPrevious(name string) error {
	if _, err := f.stat(f.Previous()); err != nil {
		return err
	}
	if err := f.fs.Rename(name, f.Previous()); err != nil {
		return err
	}
	return f.syncFolder()
}

// absolute puts the working folder in front of a relative path, and leaves the
// rest as it is: only the system knows where the .. of link/../file leads.
func absolute(path string) (string, error) {
	if lexical {
		return filepath.Abs(path)
	}
	if filepath.IsAbs(path) { // filepath.Abs would clean the path
		return path, nil
	}
	folder, err := os.Getwd()
	return folder + string(filepath.Separator) + path, err
}

package durable

import (
	"errors"
	"io/fs"
)

// A Pending is a backup that is being written. Until Commit, readers of the
// file see the old one. Exactly one of Commit and Abort ends it.
type Pending struct {
	file *File
	temp Handle
	name string
}

// Create starts a new backup.
func (f *File) Create() (*Pending, error) {
	temp, name, err := f.createTemp()
	if err != nil {
		return nil, err
	}
	return &Pending{file: f, temp: temp, name: name}, nil
}

// Write adds to the backup.
func (p *Pending) Write(b []byte) (int, error) { return p.temp.Write(b) }

// Abort removes what was written.
func (p *Pending) Abort() { p.file.discard(p.temp, p.name) }

// Commit puts the backup in the place of the file and returns when that
// survives a power cut. After an error the old backup is there still, but for
// an error of the last step: then it is one or the other, whole.
func (p *Pending) Commit() error {
	f := p.file
	// Without this sync the name can reach the disk before the contents: a file
	// of 0 bytes after a power cut, on XFS and btrfs. A failed sync is never
	// tried again on the same file: the kernel has dropped the pages, and the
	// second try would succeed over nothing (Rebello et al., USENIX ATC 2020).
	if err := p.temp.Sync(); err != nil {
		p.Abort()
		return err
	}
	old, err := f.displace()
	if err != nil {
		p.Abort()
		return err
	}
	if old != nil && !replacesOpenFiles {
		old.Close()
	} else if old != nil {
		defer old.Close()
	}
	// The locks are kept to the end. Without them a sweep in another process
	// could take the new file before it is renamed, and a Load could hand over
	// the one file or the other while dropHandOver is about to remove what has
	// that name.
	if err := f.fs.Rename(p.name, f.path); err != nil {
		p.Abort()
		return err
	}
	// Its contents are synced, so an error of this has nothing left to say.
	defer p.temp.Close()
	f.leave(p.temp)
	// Without this sync the old backup is back after a power cut, on ext4, XFS
	// and btrfs, although Commit had returned.
	if err := f.syncDir(); err != nil {
		return err
	}
	f.dropHandOver()
	return nil
}

// leave notes what is at path, if that is h still: somebody else may have been
// there already.
func (f *File) leave(h Handle) {
	f.left = nil
	there, _ := f.stat(f.path)
	ours, err := h.Stat()
	if err == nil && there != nil && f.fs.Same(ours, there) {
		f.left = there
	}
}

// dropHandOver removes the hand-over file, if it is ours. Only now: a removal
// that reached the disk before the rename did would leave nothing at all. If it
// fails, the next Commit tries again, and a start meanwhile prefers the backup.
func (f *File) dropHandOver() {
	if f.loaded == nil {
		return
	}
	err := f.isAt(f.loaded, f.HandOver())
	if err == nil {
		err = f.fs.Remove(f.HandOver())
	}
	if err != nil && !errors.Is(err, errMoved) && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	owned.release(holding{f.fs, f.HandOver()}, f.loaded)
	f.loaded.Close()
	f.loaded = nil
}

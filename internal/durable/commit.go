package durable

import (
	"errors"
	"fmt"
	"io/fs"
)

// A Pending is a backup that is being written. Until Commit, readers of the
// file see the old one. Exactly one of Commit, CommitBlank, CommitLive and Abort ends
// it.
type Pending struct {
	file *File
	temp Handle
	name string

	installed bool
	bySlices  bool
	unsynced  int // bytes since the last slice
}

// Create starts a new backup. After a Close it first locks the path again, and
// waits as Open does.
func (f *File) Create() (*Pending, error) {
	if err := f.hold(); err != nil {
		return nil, err
	}
	// W2. The temporary file; Write fills it.
	temp, name, err := f.createTemp()
	if err != nil {
		return nil, err
	}
	return &Pending{file: f, temp: temp, name: name}, nil
}

// Write adds to the backup.
func (p *Pending) Write(b []byte) (int, error) {
	n, err := p.temp.Write(b)
	p.unsynced += n
	if err == nil && p.bySlices && p.unsynced >= slice {
		p.unsynced = 0
		err = p.temp.SyncData()
	}
	return n, err
}

// SyncBySlices has Write sync the backup as it grows. An Append meanwhile waits for one
// slice and not for the whole: a file system with a journal of its own, such as ext4,
// writes the new data of all files before it can sync one of them. It makes the backup
// itself slower (bench/ratios, "Sync during a backup").
func (p *Pending) SyncBySlices() { p.bySlices = true }

// slice is where a backup delays Syncs no more than a goroutine that computes does
// (bench/ratios, "Sync during a backup"). Half of it makes a backup of two million keys
// half as long again.
const slice = 512 << 10

// Abort removes the backup.
func (p *Pending) Abort() { p.file.discard(p.temp, p.name) }

// Commit puts the backup in the place of the file and returns when the new file
// survives a power cut. After an error the old file is in place, whole; only
// after an error of the last rename or of the sync behind it the new one may be.
func (p *Pending) Commit() error { return p.commit(ending{}) }

// CommitBlank is Commit for a store that began empty and was never written to.
// If the file or the hand-over file has contents, whoever they are from,
// CommitBlank removes the backup instead and returns nil.
func (p *Pending) CommitBlank() error { return p.commit(ending{blank: true}) }

// CommitLive is Commit for a file that Append may add lines to. It calls catchUp
// under the path's mutex, when nothing can be acknowledged any more but by this backup.
// catchUp returns the lines of the writes since the backup began, with their line feeds,
// or nothing. CommitLive calls installed, still under the mutex, once the
// new file is the one that Append adds to.
func (p *Pending) CommitLive(catchUp func() ([]byte, error), installed func()) error {
	return p.commit(ending{catchUp: catchUp, installed: installed})
}

// An ending is the kind of a commit.
type ending struct {
	blank     bool
	catchUp   func() ([]byte, error) // nil if the file is not to be live
	installed func()
}

func (p *Pending) commit(kind ending) (err error) {
	f := p.file
	installed, live := false, false
	var old Handle // the file that was live
	defer func() {
		closeIfOpen(old)
		switch {
		case !installed:
			p.Abort()
		case !live:
			p.temp.Close() // it is synced, so an error has nothing to tell
		}
	}()

	// W3. Sync the temporary file, with its owner. Without the sync the name can
	// reach the disk before the contents: a file of 0 bytes after a power cut, on
	// XFS and btrfs. After an error no second sync follows: the kernel has dropped
	// the pages, and a second sync would succeed over nothing (Rebello et al.,
	// USENIX ATC 2020).
	like, err := f.rightOwner()
	if err != nil {
		return err
	}
	keepOwner(p.temp, like)
	if err := p.temp.Sync(); err != nil {
		return err
	}

	// W5. The path's mutex, to the end, and the path's lock: without it another
	// process may own the file by now.
	leave, err := f.enter()
	if err != nil {
		return err
	}
	defer leave()
	if kind.blank {
		if full, err := f.anyContents(); err != nil || full {
			return err
		}
	}

	// W6. Catch up with the writes since then, whether or not the old file is live: a
	// line in that file may have been acknowledged since the backup began. Up to here an
	// error leaves the old file as it is, and live.
	if err := p.catchUp(kind.catchUp); err != nil {
		return err
	}
	made, err := p.temp.Stat()
	if err != nil {
		return err
	}

	// W7. The old file is not live from here on, whatever happens: nothing may be
	// acknowledged in a file whose name is about to go. Its handle stays open until the
	// mutex is free: the file system frees the file with the last handle, and the time
	// for that grows with the size (54 ms for 130 MB on ext4 with online discard).
	old = f.retireLive()

	// W8. A file with contents that this File has not written is copied to
	// Previous, or the data of another program or store would be nowhere.
	// W9. Look again, since the copy takes time, then rename. An error does not
	// tell whether the rename was done.
	if err := f.keepForeign(); err != nil {
		return err
	}
	f.unsure = made
	if err := f.renameAt(p.name, f.path); err != nil {
		return err
	}
	installed = true

	// W10. Sync the folder. Without this the old backup is back after a power cut,
	// on ext4, XFS and btrfs, although Commit had returned.
	if err := f.syncFolder(); err != nil {
		return err
	}

	// W11. Note the new file. Remove the hand-over file, if this File has loaded
	// it. Only now: a removal that reached the disk before the rename would leave
	// neither. No sync: a hand-over file that is back is older than the backup.
	// An old unsure would do no harm: no other file can be equal to it. A replaceable
	// that stayed false would cost the next load one more rename.
	f.lastSeen, f.unsure, f.claim.replaceable = made, nil, true
	p.installed = true
	f.dropHandOver()
	if kind.catchUp != nil {
		f.live, live = p.temp, true
		kind.installed()
	}
	return nil
}

// catchUp adds the lines to the backup, and syncs it again.
func (p *Pending) catchUp(lines func() ([]byte, error)) error {
	if lines == nil {
		return nil
	}
	text, err := lines()
	if err != nil || len(text) == 0 {
		return err
	}
	if _, err := p.temp.Write(text); err != nil {
		return err
	}
	return p.temp.Sync()
}

// Sync makes durable the backup so far, without the path's mutex, so that a CommitLive
// has little left to sync under the mutex.
func (p *Pending) Sync() error { return p.temp.Sync() }

// Installed reports whether a commit has put the backup in the place of the file. A
// CommitBlank that has found contents has not.
func (p *Pending) Installed() bool { return p.installed }

// anyContents reports whether the file or the hand-over file is not blank.
func (f *File) anyContents() (bool, error) {
	full, err := f.hasContents(f.path)
	if err != nil || full {
		return full, err
	}
	return f.hasContents(f.HandOver())
}

// keepForeign returns when the file is as this File has left it, or empty, or
// kept as a copy. The copy counts when it is durable: after an error the next
// Commit copies again.
func (f *File) keepForeign() error {
	var kept fs.FileInfo
	for range attempts {
		now, err := f.stat(f.path)
		if err != nil {
			return err
		}
		if now == nil || now.Size() == 0 || f.own(now) || f.unchanged(now, kept) {
			return nil
		}
		if kept, err = f.keepCopy(); err != nil {
			return fmt.Errorf("keep a copy of a file that another program has written: %w", err)
		}
	}
	return &fs.PathError{Op: "replace", Path: f.path, Err: errChanged}
}

// dropHandOver removes the hand-over file that this File has loaded. If another
// file has the name now, that file stays. If the removal fails, the next Commit
// tries again, and a start meanwhile prefers the backup.
func (f *File) dropHandOver() {
	if f.claim.loadedBy() != f {
		return
	}
	now, err := f.stat(f.HandOver())
	if err == nil && f.unchanged(now, f.claim.loadedNow()) {
		err = f.fs.Remove(f.HandOver())
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		f.claim.setLoader(nil, nil)
	}
}

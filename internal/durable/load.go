package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Load gives the contents of the file to read and empties the file. The
// contents are in the file or in the hand-over file at every instant, and stay
// in the latter until a Commit; a start in between loads them from there. While
// the process that loaded them lives they are its own: another Load, there or in
// another process, finds nothing.
//
// read is not called where there is nothing to load. It may be called again,
// from the start, when the file was replaced meanwhile, and what it has read may
// become another process's: see Loaded. Its error is returned, and no file is
// touched.
func (f *File) Load(read func(name string, r io.Reader) error) error {
	err := inTurn(func() error { return f.load(read) })
	switch {
	case errors.Is(err, ErrInUse): // whoever is loading it takes long to read
		return f.nothingToLoad()
	case errors.Is(err, errMoved):
		return &fs.PathError{Op: "load", Path: f.path, Err: err}
	}
	return err
}

// Loaded reports whether what Load read last is this File's own, until a Commit.
func (f *File) Loaded() bool { return f.loaded != nil }

func (f *File) load(read func(name string, r io.Reader) error) error {
	name, err := f.source()
	if err != nil {
		return err
	}
	if name == "" {
		return f.nothingToLoad()
	}
	h, err := f.claim(name)
	if errors.Is(err, ErrInUse) && name == f.HandOver() { // whoever loaded it lives
		return f.nothingToLoad()
	}
	if err != nil {
		return err
	}
	if err := read(name, h); err != nil {
		h.Close()
		return f.withOther(name, err)
	}
	if err := f.clear(name, h); err != nil {
		h.Close()
		return err
	}
	f.loaded = h
	owned.hold(holding{f.fs, f.HandOver()}, h)
	return nil
}

// source returns which file holds the contents: the file if it is not empty,
// else the hand-over file, if there is one and this process does not own it.
func (f *File) source() (string, error) {
	full, err := f.filled(f.path)
	if err != nil || full {
		return f.path, err
	}
	full, err = f.filled(f.HandOver())
	if err != nil || !full {
		return "", err
	}
	if ours, err := f.ownsHandOver(); err != nil || ours {
		return "", err
	}
	return f.HandOver(), nil
}

// ownsHandOver reports whether a store of this process has loaded what is the
// hand-over file now. The one that it loaded may be gone, and another be there.
func (f *File) ownsHandOver() (bool, error) {
	h := owned.at(holding{f.fs, f.HandOver()})
	if h == nil {
		return false, nil
	}
	err := f.isAt(h, f.HandOver())
	if errors.Is(err, errMoved) || errors.Is(err, fs.ErrClosed) { // its store has committed meanwhile
		return false, nil
	}
	return err == nil, err
}

func (f *File) nothingToLoad() error {
	left, err := f.stat(f.path)
	// What is not empty belongs to another process, which is loading it.
	if left != nil && left.Size() == 0 {
		f.left = left
	}
	return err
}

// claim opens and locks name, and makes sure that it is still what source
// chooses.
func (f *File) claim(name string) (Handle, error) {
	h, err := f.own(name)
	if err != nil {
		return nil, err
	}
	again, err := f.source()
	if err == nil && again != name {
		err = errMoved
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// withOther adds to the error of reading name where else data may be.
func (f *File) withOther(name string, err error) error {
	if full, _ := f.filled(f.HandOver()); full && name == f.path {
		return fmt.Errorf("%w; %s holds what was loaded before it", err, f.HandOver())
	}
	return err
}

// clear leaves an empty file, and the contents of name, open as h, in the
// hand-over file.
func (f *File) clear(name string, h Handle) error {
	// The file may be an edit that its editor did not sync: after a power cut
	// the names below would be there and the contents not.
	if err := h.Sync(); err != nil {
		return err
	}
	// Room for the empty file comes first, so that a full disk shows before
	// anything has moved.
	room, roomName, err := f.createTemp()
	if err != nil {
		return err
	}
	err = f.handOver(name, h)
	if err == nil {
		// The contents must have their name on the disk before the file is
		// empty there.
		err = f.syncDir()
	}
	f.discard(room, roomName)
	if err != nil {
		return err
	}
	return f.makeEmpty()
}

// makeEmpty makes an empty file where there is none. It needs no sync: it has
// nothing to lose. Renaming one to the place would destroy what another process
// has backed up there since anybody looked.
func (f *File) makeEmpty() error {
	h, err := f.fs.Create(f.path)
	if errors.Is(err, fs.ErrExist) {
		return f.leaveEmpty()
	}
	if err != nil {
		return err
	}
	if err = h.Chmod(0o600); err == nil {
		f.left, err = h.Stat()
	}
	return errors.Join(err, h.Close())
}

// leaveEmpty returns errMoved unless there is an empty file already.
func (f *File) leaveEmpty() error {
	left, err := f.stat(f.path)
	if err == nil && (left == nil || left.Size() > 0) {
		return errMoved
	}
	f.left = left
	return err
}

// handOver moves the file to the hand-over file, unless that is where the
// contents are.
func (f *File) handOver(name string, h Handle) error {
	if name == f.HandOver() {
		return nil
	}
	err := f.makeWay()
	if err == nil {
		err = f.fs.Rename(name, f.HandOver())
	}
	if err == nil {
		err = f.isAt(h, f.HandOver()) // else a newer backup came between
	}
	if errors.Is(err, fs.ErrNotExist) { // another process was faster
		return errMoved
	}
	return err
}

// makeWay keeps an older hand-over file as Previous: nobody will load it any
// more, but somebody may want it.
func (f *File) makeWay() error {
	full, err := f.filled(f.HandOver())
	if err != nil || !full {
		return err
	}
	// The backup that is newer may be one whose Commit did not get as far as
	// this sync. Then the hand-over file is all that is durable.
	if err := f.syncDir(); err != nil {
		return err
	}
	if err := f.fs.Rename(f.HandOver(), f.Previous()); err != nil {
		return err
	}
	return f.syncDir() // or what replaces the old one could reach the disk first
}

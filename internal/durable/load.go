package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Load passes the contents of the file to read and then empties the file. At
// every instant the contents are in the file or in the hand-over file, where they
// stay until a Commit; a later process loads them from there. Within this process
// another Load finds nothing meanwhile.
//
// Load does not call read if there is nothing to load. It calls read again, from
// the start, if another program has changed the file meanwhile: with the empty
// object if the contents have gone. If read returns an error, Load returns that
// error, and no file has changed.
//
// Load also makes sure that a backup can be written at all, with contents and
// without: it makes a temporary file and syncs the folder.
func (f *File) Load(read func(name string, r io.Reader) error) error {
	// L1. The path's mutex, to the end, and the path's lock, which Open has taken
	// and after which it has swept. Without the mutex the first backup of another
	// store of this process could be moved between its rename and its sync.
	leave, err := f.enter()
	if err != nil {
		return err
	}
	defer leave()
	f.dropLive() // a load moves the file, and Append must not follow to the hand-over file
	given := attempt{read: read}
	for range attempts {
		if err := f.load(given.next()); !errors.Is(err, errChanged) {
			return given.end(f.path, err)
		}
	}
	return &fs.PathError{Op: "load", Path: f.path, Err: errChanged}
}

// An attempt to load calls read. If a later attempt finds nothing, the contents
// that read has got must go.
type attempt struct {
	read   func(name string, r io.Reader) error
	before bool // an earlier attempt has called read
	now    bool // the present attempt has
}

// next begins a new attempt and returns the function for it to call.
func (a *attempt) next() func(name string, r io.Reader) error {
	a.before, a.now = a.before || a.now, false
	return func(name string, r io.Reader) error {
		a.now = true
		return a.read(name, r)
	}
}

// end returns err, with which the last attempt has ended.
func (a *attempt) end(name string, err error) error {
	if err == nil && a.before && !a.now {
		return a.read(name, strings.NewReader(emptyObject))
	}
	return err
}

const emptyObject = "{}"

// load carries out the steps from L2 on. It returns errChanged if another
// program has changed the file meanwhile: then all steps are to be done again.
func (f *File) load(read func(name string, r io.Reader) error) error {
	// L2. The source is the file if it is not empty, else the hand-over file if
	// that is not empty and no store of this process has loaded it, else none.
	source, name, before, err := f.openSource()
	if err != nil {
		return err
	}
	if source != nil {
		defer source.Close()

		// L3. Read all of it; after an error nothing is touched.
		if err := read(name, source); err != nil {
			return f.mentionHandOver(name, err)
		}

		// L4. Sync the source, since its editor may not have: a power cut could
		// leave the names of the steps to come without the contents.
		if err := source.Sync(); err != nil {
			return err
		}
	}

	// L4, too, and also if there is nothing to load. Make a temporary file, or a
	// full disk and a missing permission would show only after something has
	// moved, or in the first backup. Sync the folder, or the name of the source
	// might not be durable when L5 takes away an older one.
	temp, tempName, err := f.createTemp()
	if err != nil {
		return err
	}
	keepOwner(temp, before)
	if err = f.syncFolder(); err == nil && source != nil && name == f.path {
		err = f.moveAway(before)
	}
	if err != nil {
		f.discard(temp, tempName)
		return err
	}

	// L8. The file, empty. It needs no sync: it has nothing to lose. It is not live:
	// lines belong behind an object, and the hand-over file may end in half a line.
	if err := f.leaveEmpty(temp, tempName, before, source != nil); err != nil {
		return err
	}
	if source != nil {
		f.claim.setLoader(f, before)
	}
	return nil
}

// openSource opens the file to be loaded. If there is none, the handle is nil and
// the description that of the file at path, or nil.
func (f *File) openSource() (h Handle, name string, info fs.FileInfo, err error) {
	now, err := f.stat(f.path)
	if err != nil {
		return nil, "", nil, err
	}
	name = f.path
	if now == nil || now.Size() == 0 {
		name = f.HandOver()
		info, err := f.stat(name)
		if err != nil || info == nil || info.Size() == 0 || f.unchanged(info, f.claim.loadedNow()) {
			return nil, "", now, err
		}
	}
	h, info, err = f.open(name)
	if err == nil && (h == nil || info.Size() == 0) {
		err = errChanged
	}
	if err != nil && h != nil {
		h.Close()
	}
	return h, name, info, err
}

// moveAway carries out the steps L5 to L7, for a source that is the file itself
// and was read as before describes.
func (f *File) moveAway(before fs.FileInfo) error {
	// L5. Keep an older hand-over file, which nobody will load any more. Its new
	// name must be durable before the old one is taken.
	old, err := f.hasContents(f.HandOver())
	if err != nil {
		return err
	}
	if old {
		if err := f.keepPrevious(f.HandOver()); err != nil {
			return err
		}
	}

	// L6. Look whether the file is still the one that was read, move it, and look
	// again: an editor may have saved between. If so, the edit is loaded next.
	if err := f.stillAs(f.path, before); err != nil {
		return err
	}
	if err := f.renameAt(f.path, f.HandOver()); err != nil {
		return err
	}
	if err := f.stillAs(f.HandOver(), before); err != nil {
		return err
	}

	// L7. Sync the folder. Without it a power cut could leave the empty file of
	// L8, and the contents without a name.
	return f.syncFolder()
}

// mentionHandOver adds to the error of reading name which other file has data.
func (f *File) mentionHandOver(name string, err error) error {
	if other, _ := f.hasContents(f.HandOver()); other && name == f.path {
		return fmt.Errorf("%w; %s holds what was loaded before it", err, f.HandOver())
	}
	return err
}

// leaveEmpty leaves an empty file at path, and no temporary file. It does not
// replace a file with contents: another program may just have written it. If
// nothing was loaded and there is no file, none is made.
func (f *File) leaveEmpty(temp Handle, tempName string, like fs.FileInfo, loaded bool) error {
	now, err := f.stat(f.path)
	if err == nil && now != nil && now.Size() > 0 {
		err = errChanged
	}
	if err == nil && now != nil && !f.claim.replaceable {
		return f.replaceEmpty(temp, tempName)
	}
	f.discard(temp, tempName)
	if err == nil && now == nil && loaded {
		now, err = f.createEmpty(like)
	}
	if err != nil {
		return err
	}
	f.lastSeen = now
	return nil
}

// replaceEmpty replaces an empty file by another: a file that is mounted by
// itself does not allow that, and neither would it allow a backup.
func (f *File) replaceEmpty(temp Handle, tempName string) error {
	now, err := temp.Stat()
	if err == nil {
		err = f.renameAt(tempName, f.path)
	}
	if err != nil {
		f.discard(temp, tempName)
		return err
	}
	f.lastSeen, f.claim.replaceable = now, true
	return temp.Close()
}

func (f *File) createEmpty(like fs.FileInfo) (fs.FileInfo, error) {
	h, err := f.create(f.path)
	if errors.Is(err, fs.ErrExist) {
		return nil, errChanged
	}
	if err != nil {
		return nil, err
	}
	keepOwner(h, like)
	now, err := h.Stat()
	return now, errors.Join(err, h.Close())
}

// setLoader notes that f has loaded the hand-over file, which info describes.
func (c *claim) setLoader(f *File, info fs.FileInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loader, c.loaded = f, info
}

// loadedBy returns the File that has loaded the hand-over file, or nil.
func (c *claim) loadedBy() *File {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loader
}

// loadedNow describes the hand-over file that a File of this process has loaded,
// or returns nil.
func (c *claim) loadedNow() fs.FileInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loader == nil {
		return nil
	}
	return c.loaded
}

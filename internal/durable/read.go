package durable

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

const (
	// leaseWait is how long Read waits for another program that has a lease on
	// the file, and was asked by the kernel to give it up.
	leaseWait = time.Second

	// A restart of the owner hides both files for an instant. Only three restarts
	// within one Read could hide them three times.
	missingBelieved = 3
)

var errMissing = errors.New("neither the file nor the hand-over file exists")

// Read passes the contents of the file at path to read: the contents that a Load would
// find now. It changes nothing and takes no lock, so the folder may be read-only and
// the file owned by another process. If a backup or a load comes between, Read
// calls read again, from the start; the contents that read gets last are one whole
// backup, no older than the newest at the call. Read does not call read if the file is
// empty and no hand-over file exists. It returns fs.ErrNotExist if neither
// exists.
func Read(fsys FS, path string, read func(name string, r io.Reader) error) error {
	path, err := fsys.Resolve(path)
	if err != nil {
		return err
	}
	f := newFile(fsys, path, leaseWait)
	f.deadline = time.Now().Add(leaseWait)
	given := attempt{read: read}
	missing := 0
	for range attempts {
		err := f.readOnce(given.next())
		if errors.Is(err, errMissing) {
			if missing++; missing == missingBelieved {
				return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
		} else if !errors.Is(err, errChanged) {
			return given.end(path, err)
		}
	}
	return &fs.PathError{Op: "read", Path: path, Err: errChanged}
}

// readOnce returns errChanged if the files have changed meanwhile.
func (f *File) readOnce(read func(name string, r io.Reader) error) error {
	// R1. Open the file and keep it open, or another could get its identity. If it
	// has contents, they are the newest; a Commit or a Load only moves the name.
	file, before, err := f.open(f.path)
	if err != nil {
		return err
	}
	if file != nil {
		defer file.Close()
		if before.Size() > 0 {
			return read(f.path, file)
		}
	}

	// R2. Else the hand-over file has the contents.
	handOver, loaded, err := f.open(f.HandOver())
	if err != nil {
		return err
	}
	if handOver != nil {
		defer handOver.Close()
		if loaded.Size() > 0 {
			err = read(f.HandOver(), handOver)
		}
	}

	// R3. Look whether both are still the same files. If not, a backup came
	// between, and the hand-over file was older or gone.
	if err := errors.Join(f.stillAs(f.path, before), f.stillAs(f.HandOver(), loaded)); err != nil {
		return err
	}
	if file == nil && handOver == nil {
		return errMissing
	}
	return err
}

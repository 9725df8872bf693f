package durable

import (
	"errors"
	"io/fs"
	"time"
)

// Who works on a file that has contents has it locked: a Load that is about to
// hand it over, and a Commit from before it puts it there until it has removed
// the hand-over file. The others wait for their turn. Where there are no locks
// nothing of a single process goes wrong; two at once then rely on luck.

// ErrInUse is what a backup gives that has waited in vain for another process.
var ErrInUse = errors.New("in use by another process")

var errMoved = errors.New("being replaced again and again")

const (
	// attempts bounds how often somebody starts again because another process
	// has moved the files. Each time that process got something done.
	attempts = 100

	// patience is how long somebody waits for a lock. A Commit holds it for a
	// sync of the directory; a Load for as long as it reads, and who waits in
	// vain for that has lost nothing by it.
	patience = time.Second

	// Who waits looks again after firstPause, then after twice as long, and so
	// on. More than lastPause between would starve those who come late.
	firstPause = time.Millisecond
	lastPause  = 16 * time.Millisecond
)

// inTurn calls try until another process is neither in its way nor moves the
// files under it, but not forever.
func inTurn(try func() error) error {
	moved, waited, pause := 0, time.Duration(0), firstPause
	for {
		err := try()
		switch {
		case errors.Is(err, errMoved) && moved < attempts:
			moved++
		case errors.Is(err, ErrInUse) && waited < patience:
			time.Sleep(pause)
			waited += pause
			pause = min(2*pause, lastPause)
		default:
			return err
		}
	}
}

// own opens and locks name. It returns ErrInUse if somebody else has locked it,
// and errMoved if it is not there, or not any more.
func (f *File) own(name string) (Handle, error) {
	h, mine, err := f.fs.Own(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMoved
	}
	if err == nil && !mine {
		err = ErrInUse
	}
	if err == nil {
		err = f.isAt(h, name)
	}
	if err == nil {
		return h, nil
	}
	if h != nil {
		h.Close()
	}
	return nil, err
}

// isAt returns errMoved unless h is the file called name.
func (f *File) isAt(h Handle, name string) error {
	info, err := h.Stat()
	if err != nil {
		return err
	}
	there, err := f.fs.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !f.fs.Same(info, there) {
		return errMoved
	}
	return nil
}

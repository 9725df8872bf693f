package durable

import "errors"

// ErrNotLive is returned by Append where only a whole backup will do.
var ErrNotLive = errors.New("the file is not one to append to")

// Append adds a line to the file and returns when the line survives a power cut.
// line is called under the path's mutex; it returns the line, with its line feed, or
// nothing if the file has all that its caller wants to have there. So Append with an
// empty line says that the file is there as it was left.
//
// The file must be live: made by a CommitLive of this File, and untouched by other
// programs and stores since. If not, this Append and all later ones return ErrNotLive,
// until the next CommitLive. Every other error ends the life of the file, too: its end is
// unknown, and a further line would stand behind half a line or a lost one.
//
// Append may be called while another goroutine writes a Pending of this File, but not
// during a Close, nor after a Close during the next Create.
func (f *File) Append(line func() ([]byte, error)) error {
	if f.claim == nil {
		return ErrNotLive
	}
	// A1. The path's mutex, to the end.
	f.claim.path.Lock()
	defer f.claim.path.Unlock()

	// A2. Look whether the file is live, and as this File has left it. Without the look
	// a line could be acknowledged in a file that a program has removed or replaced.
	if err := f.lookLive(); err != nil {
		return f.dead(err)
	}

	// A3. If the caller has nothing to write, the look has been all.
	text, err := line()
	if err != nil || len(text) == 0 {
		return err
	}

	// A4. One write for one line: of two, a power cut could leave the second. Note the
	// file as it is then, also after an error, or half a line of this File would be
	// taken for a stranger's.
	written, err := f.live.Write(text)
	noted := f.noteAppended(written)
	if err = errors.Join(err, noted); err != nil {
		return f.dead(err)
	}

	// A5. Sync.
	if err := f.live.SyncData(); err != nil {
		return f.dead(err)
	}

	// A6. Look again: a program may have replaced the file between the look of A2 and
	// the write. Its file does not have the line.
	if err := f.lookLive(); err != nil {
		return f.dead(err)
	}
	return nil
}

// lookLive returns nil if the file is live, as this File has left it, and locked by
// this process.
func (f *File) lookLive() error {
	if f.live == nil {
		return ErrNotLive
	}
	locked, err := f.claim.isLocked(f)
	if err != nil || !locked {
		return errors.Join(err, ErrNotLive)
	}
	now, err := f.stat(f.path)
	if err == nil && !f.unchanged(now, f.lastSeen) {
		err = ErrNotLive
	}
	return err
}

// dead ends the life of the file and returns err.
func (f *File) dead(err error) error {
	f.dropLive()
	return err
}

// dropLive closes the live file, if there is one.
func (f *File) dropLive() {
	closeIfOpen(f.live)
	f.live = nil
}

// retireLive ends the life of the live file, if there is one, and returns its handle for
// the caller to close.
func (f *File) retireLive() Handle {
	if !replacesOpen {
		f.dropLive()
	}
	old := f.live
	f.live = nil
	return old
}

// closeIfOpen closes a handle that may be nil. Its file is synced, or given up, so an error
// has nothing to tell.
func closeIfOpen(h Handle) {
	if h != nil {
		_ = h.Close()
	}
}

// noteAppended notes the live file after a write of n bytes. A file of another size
// has a stranger's bytes in it, and stays a stranger's.
func (f *File) noteAppended(n int) error {
	now, err := f.live.Stat()
	if err != nil {
		return err
	}
	if now.Size() != f.lastSeen.Size()+int64(n) {
		return ErrNotLive
	}
	f.lastSeen = now
	return nil
}

// isLocked reports whether this process still has the lock of the path. It does not
// take the lock again: meanwhile another process may have had the file.
func (c *claim) isLocked(f *File) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return false, nil
	}
	there, err := f.stat(f.lockName())
	return err == nil && there != nil && f.fs.Same(there, c.locked), err
}

//go:build unix && !aix && (!solaris || illumos)

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// checkInUse returns an error if another process owns a file, so that nothing is transferred in vain.
// It leaves no lock: the file is owned from when it is written, as owning it empties it. The lock is
// the one that genie.NewStore names, on the file beside it. It is shared, so that two checks do not
// meet, and ends with the handle.
func checkInUse(file string) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	lock, err := os.Open(file + ".lock")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it never had an owner
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil // without locks, NewStore does not know either
	}
	owner, _ := io.ReadAll(lock) // for the message only
	return fmt.Errorf("%s is in use by process %s, which must end first", file, strings.TrimSpace(string(owner)))
}

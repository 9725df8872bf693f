//go:build aix || (solaris && !illumos)

package durable

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// Lock is fcntl(2), where the syscall package has no flock. Such a lock ends when
// the process closes any handle of the file. This process has one at most: the
// registry lets only the first File on a path open the lock's file.
func (f file) Lock() error {
	all := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &all)
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EAGAIN) {
		return ErrInUse
	}
	return os.NewSyscallError("fcntl", err)
}

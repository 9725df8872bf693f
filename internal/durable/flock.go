//go:build unix && !aix && (!solaris || illumos)

package durable

import (
	"errors"
	"os"
	"syscall"
)

// Lock is flock(2), which belongs to the open file: unlike a lock of fcntl(2) it
// stays when another handle of the file is closed.
func (f file) Lock() error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return os.NewSyscallError("flock", err)
}

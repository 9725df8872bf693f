//go:build unix && !aix && !solaris

package durable

import (
	"errors"
	"os"
	"syscall"
)

// tryLock reports whether f is now locked, or cannot be. A file system without
// locks leaves the registry of the process, and ownership between processes
// goes unnoticed: a backup must not fail for that.
//
// flock and not fcntl: it belongs to the open file, so two stores of one process
// exclude each other, and closing another handle of the file keeps it.
func tryLock(f *os.File) bool {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return !errors.Is(err, syscall.EWOULDBLOCK)
		}
	}
}

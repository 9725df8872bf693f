//go:build linux || darwin

package main

import (
	"os/signal"
	"syscall"
)

// fillDisk lets no file of this process grow beyond limit, until free is called.
func fillDisk(limit int64) (free func() error, err error) {
	signal.Ignore(syscall.SIGXFSZ) // writes beyond the limit fail with EFBIG instead
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return nil, err
	}
	now := before
	now.Cur = uint64(limit)
	return func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) },
		syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now)
}

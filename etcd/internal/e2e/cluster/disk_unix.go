//go:build linux || darwin

package cluster

import (
	"os/signal"
	"syscall"
)

// canFillDisk says that fillDisk works here.
const canFillDisk = true

// fillDisk lets no write of this process to a file succeed, at any place of the file. The
// signal of the limit is ignored, so that the write fails with EFBIG.
func fillDisk() error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = 0
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

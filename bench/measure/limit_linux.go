package measure

import (
	"os/signal"
	"syscall"
)

// limitFileSize makes a write beyond size fail with EFBIG; the signal that goes
// with it would end the process.
func limitFileSize(size int64) error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = uint64(size)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

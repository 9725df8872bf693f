package measure

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const memoryIsKnown = true

// residentMemory returns the size of all pages in memory, of the heap and of
// mapped files.
func residentMemory() float64 { return processStatus("VmRSS") }

// peakMemory returns the highest resident memory since resetPeak.
func peakMemory() float64 { return processStatus("VmHWM") }

func resetPeak() {
	const peakOnly = "5"
	// Without the permission the peak counts from the start of the process, an
	// upper bound.
	_ = os.WriteFile("/proc/self/clear_refs", []byte(peakOnly), 0)
}

func processStatus(field string) float64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), field+":"); ok {
			var kilobytes float64
			fmt.Sscan(text, &kilobytes)
			return kilobytes * 1024
		}
	}
	return 0
}

// limitFileSize makes a write beyond size fail with EFBIG. The signal that comes
// with the error would end the process.
func limitFileSize(size int64) error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = uint64(size)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

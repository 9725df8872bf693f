//go:build !linux

package measure

import "errors"

// The memory columns stay empty on systems without Linux's counters: the Go
// runtime does not see the files that a system maps.
const memoryIsKnown = false

func residentMemory() float64 { return 0 }
func peakMemory() float64     { return 0 }
func resetPeak()              {}

func limitFileSize(int64) error { return errors.ErrUnsupported }

//go:build !linux

package measure

// Elsewhere the memory columns stay empty: the Go runtime does not see what a
// system maps outside its heap.
const memoryIsKnown = false

func residentMemory() float64 { return 0 }
func peakMemory() float64     { return 0 }
func resetPeak()              {}

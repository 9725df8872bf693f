package main

import "syscall"

// contextSwitches counts how often this thread has lost or given up a processor.
func contextSwitches() int64 {
	const thisThread = 1 // RUSAGE_THREAD, which package syscall lacks
	var usage syscall.Rusage
	if err := syscall.Getrusage(thisThread, &usage); err != nil {
		return 0
	}
	return int64(usage.Nvcsw) + int64(usage.Nivcsw) // 32 bits wide on some systems
}

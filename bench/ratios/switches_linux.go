package main

import "syscall"

// contextSwitches counts how often the kernel has taken the processor from this
// thread, or the thread has given it up.
func contextSwitches() int64 {
	const thisThread = 1 // RUSAGE_THREAD, which package syscall lacks
	var usage syscall.Rusage
	if err := syscall.Getrusage(thisThread, &usage); err != nil {
		return 0
	}
	return int64(usage.Nvcsw) + int64(usage.Nivcsw) // 32 bits wide on some systems
}

//go:build !linux

package report

import "runtime"

// DescribeMachine knows little about systems without Linux.
func DescribeMachine(string) Machine {
	return Machine{
		Cores:    runtime.NumCPU(),
		MaxProcs: runtime.GOMAXPROCS(0),
		System:   runtime.GOOS,
	}
}

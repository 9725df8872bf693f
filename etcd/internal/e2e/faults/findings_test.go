package faults

import (
	"fmt"
	"sync"
)

// findings are the broken promises that the goroutines of a run have seen.
type findings struct {
	mu  sync.Mutex // guards all
	all []string
}

func (f *findings) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, fmt.Sprintf(format, args...))
}

// list returns the findings so far, at most twenty.
func (f *findings) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[:min(len(f.all), 20)]
}

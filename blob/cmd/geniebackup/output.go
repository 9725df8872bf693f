package main

import (
	"fmt"
	"io"
)

// An output is where the result of a command goes. On a terminal the progress line is in the way, and
// is taken off first.
type output struct {
	to       io.Writer
	progress *progress
	err      error // the first
}

// Write writes to o.to and keeps its first error, so the calls that print need not look at theirs.
func (o *output) Write(p []byte) (int, error) {
	o.progress.end()
	n, err := o.to.Write(p)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("print the result: %w", err)
	}
	return n, err
}

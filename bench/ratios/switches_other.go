//go:build !linux

package main

// switches is not known here, so turns that were interrupted count as long ones.
func switches() int64 { return 0 }

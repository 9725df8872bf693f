//go:build !linux

package main

func mountSmallDisk(string) (unmount func()) { return func() {} }
func isSmallDisk(string) bool                { return false }
func syncDisks()                             {}

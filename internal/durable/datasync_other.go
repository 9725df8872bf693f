//go:build !linux

package durable

// SyncData is Sync: package syscall has no less.
func (f file) SyncData() error { return f.Sync() }

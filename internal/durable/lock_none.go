//go:build aix || solaris

package durable

import "os"

// tryLock stands where the syscall package has no flock. See lock_flock.go.
func tryLock(*os.File) bool { return true }

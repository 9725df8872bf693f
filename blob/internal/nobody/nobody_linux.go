// Package nobody lets tests see what a user without rights sees, also where root runs them.
package nobody

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// Run runs fn without the rights of root over files, on a thread of its own that ends
// with it. A user who is not root runs fn with rights that are no more than that.
func Run(t *testing.T, fn func()) {
	t.Helper()
	done, taken := make(chan struct{}), false
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread must not be used again
		const nobody = 65534
		syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		now, _, _ := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		if taken = now == nobody || os.Geteuid() != 0; taken {
			fn()
		}
	}()
	<-done
	if !taken {
		t.Skip("this root has no right to act as another user")
	}
}

package cluster

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the process when this process ends. A process that is
// stopped would not notice that its input has ended.
func dieWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

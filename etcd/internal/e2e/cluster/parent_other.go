//go:build !linux

package cluster

import "os/exec"

// dieWithParent does nothing: a member ends when its input does. A member that is stopped
// stays until the system ends it.
func dieWithParent(*exec.Cmd) {}

//go:build unix

package cluster

import (
	"fmt"
	"syscall"
)

// Pause stops the process (SIGSTOP). Its connections stay open, and nothing answers, as with
// a machine that hangs.
func (m *Member) Pause() error {
	m.stopped = true
	return m.signal(syscall.SIGSTOP)
}

// Continue has a process that Pause has stopped go on (SIGCONT), in the belief that no time
// has passed.
func (m *Member) Continue() error {
	m.stopped = false
	return m.signal(syscall.SIGCONT)
}

func (m *Member) signal(s syscall.Signal) error {
	if err := m.process.command.Process.Signal(s); err != nil {
		return fmt.Errorf("send %v to member %s: %w", s, m.Name(), err)
	}
	return nil
}

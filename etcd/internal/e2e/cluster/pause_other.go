//go:build !unix

package cluster

import "errors"

// Pause returns errors.ErrUnsupported: the system has no signal that stops a process.
func (m *Member) Pause() error { return errors.ErrUnsupported }

// Continue returns errors.ErrUnsupported.
func (m *Member) Continue() error { return errors.ErrUnsupported }

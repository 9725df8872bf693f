//go:build !unix && !windows

package durable

import "errors"

// Lock tells that there are no locks.
func (file) Lock() error { return errors.ErrUnsupported }

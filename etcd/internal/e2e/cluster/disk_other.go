//go:build !linux && !darwin

package cluster

import "errors"

func fillDisk() error { return errors.ErrUnsupported }

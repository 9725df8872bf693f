//go:build !linux && !darwin

package cluster

import "errors"

const canFillDisk = false

func fillDisk() error { return errors.ErrUnsupported }

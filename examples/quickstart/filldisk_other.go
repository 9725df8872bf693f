//go:build !linux && !darwin

package main

import "errors"

func fillDisk(int64) (free func() error, err error) { return nil, errors.ErrUnsupported }

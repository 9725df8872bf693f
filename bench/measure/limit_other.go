//go:build !linux

package measure

import "errors"

func limitFileSize(int64) error { return errors.ErrUnsupported }

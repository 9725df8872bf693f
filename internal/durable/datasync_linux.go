package durable

import (
	"io/fs"
	"syscall"
)

// SyncData is fdatasync(2). It spares the file system a write of its journal for the
// time alone; a size that has changed is written.
func (f file) SyncData() error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var synced error
	err = conn.Control(func(fd uintptr) {
		for {
			if synced = syscall.Fdatasync(int(fd)); synced != syscall.EINTR {
				return
			}
		}
	})
	if err == nil && synced != nil {
		err = &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: synced}
	}
	return err
}

package peer

import "github.com/puzpuzpuz/xsync/v4"

func xsyncMap() System {
	return System{
		Name:     "xsync",
		Bulk:     Moving,
		Snapshot: Moving,
		Durable:  handWritten,
		Open:     openXsync,
		Load:     loadJSON(openXsync),
	}
}

func openXsync(home Home) (*Store, error) {
	m := xsync.NewMap[string, string]()
	return &Store{
		Set:       m.Store,
		Get:       m.Load,
		Delete:    m.Delete,
		Len:       m.Size,
		ReadMany:  readEach(m.Load),
		Increment: func(key string) { m.Compute(key, xsyncPlusOne) },
		Backup:    func() error { return streamTo(home.Backup(), m.All()) },
		Close:     func() error { return nil },
	}, nil
}

func xsyncPlusOne(old string, _ bool) (string, xsync.ComputeOp) {
	return plusOne(old), xsync.UpdateOp
}

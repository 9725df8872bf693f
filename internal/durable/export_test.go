package durable

// Forget drops what the registry holds for fsys, as the end of the process does.
// Tests start many processes within the one they are.
func Forget(fsys FS) {
	owned.mu.Lock()
	defer owned.mu.Unlock()
	for where := range owned.held {
		if where.fs == fsys {
			delete(owned.held, where)
		}
	}
}

package durable

// Forget drops what the registry has of fsys, as the end of the process does.
// Tests start many processes within the one they are.
func Forget(fsys FS) {
	claims.mu.Lock()
	defer claims.mu.Unlock()
	for at := range claims.claims {
		if at.fs == fsys {
			delete(claims.claims, at)
		}
	}
}

// Claims returns how many paths this process has a claim on.
func Claims() int {
	claims.mu.Lock()
	defer claims.mu.Unlock()
	return len(claims.claims)
}

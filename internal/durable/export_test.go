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

// Slice is after how many bytes a backup by slices is synced.
const Slice = slice

// Busy reports whether a mutex of f's path is locked, or f is closed.
func Busy(f *File) bool {
	c := f.claim
	if c == nil || !c.path.TryLock() {
		return true
	}
	defer c.path.Unlock()
	if !c.mu.TryLock() {
		return true
	}
	c.mu.Unlock()
	return false
}

// LetGo calls do while the mutex of f's path, which the caller holds, is not locked. It
// does not if the claim is locked too, and reports whether it has.
func LetGo(f *File, do func()) bool {
	c := f.claim
	if !c.mu.TryLock() {
		return false
	}
	c.mu.Unlock()
	c.path.Unlock()
	defer c.path.Lock()
	do()
	return true
}

// Revive makes the file live for f, as it is.
func Revive(f *File) {
	if f.claim == nil {
		return
	}
	f.claim.path.Lock()
	defer f.claim.path.Unlock()
	h, info, err := f.open(f.path)
	if err == nil && h != nil {
		f.dropLive()
		f.lastSeen, f.live = info, h
	}
}

// ReplacesOpen is whether a file can be replaced that this process has open.
const ReplacesOpen = replacesOpen

package peer

import (
	"maps"
	"sync"
)

// lockedMap is the hand-written classic: a map, a lock, and a backup that holds
// the lock from json.Marshal to the rename.
func lockedMap() System {
	return System{
		Name:     "map+RWMutex",
		Bulk:     Instant,
		Snapshot: Instant,
		Durable:  handWritten,
		Open:     openLocked(backupUnderLock),
		Load:     loadLocked(backupUnderLock),
	}
}

// clonedMap is the careful variant: a backup holds the lock for maps.Clone alone.
func clonedMap() System {
	return System{
		Name:     "map+RWMutex, cloned",
		Bulk:     Instant,
		Snapshot: Instant,
		Durable:  handWritten,
		Open:     openLocked(backupClone),
		Load:     loadLocked(backupClone),
	}
}

type locked struct {
	mu      sync.RWMutex
	entries map[string]string
}

type lockedBackup func(m *locked, path string) error

func openLocked(backup lockedBackup) func(Home) (*Store, error) {
	return func(home Home) (*Store, error) {
		m := &locked{entries: make(map[string]string)}
		return m.store(home, backup), nil
	}
}

// loadLocked adopts the decoded map, which needs no second pass.
func loadLocked(backup lockedBackup) func(Home) (*Store, error) {
	return func(home Home) (*Store, error) {
		entries, err := readJSON(home.Backup())
		if err != nil {
			return nil, err
		}
		m := &locked{entries: entries}
		return m.store(home, backup), nil
	}
}

func (m *locked) store(home Home, backup lockedBackup) *Store {
	return &Store{
		Set:       m.set,
		Get:       m.get,
		Delete:    m.remove,
		Len:       m.size,
		ReadMany:  m.readMany,
		Increment: m.increment,
		Backup:    func() error { return backup(m, home.Backup()) },
		Close:     func() error { return nil },
	}
}

func (m *locked) set(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[key] = value
}

func (m *locked) get(key string) (string, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, found := m.entries[key]
	return value, found
}

func (m *locked) remove(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}

func (m *locked) size() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.entries)
}

func (m *locked) readMany(keys, values []string) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i, key := range keys {
		values[i] = m.entries[key]
	}
}

func (m *locked) increment(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[key] = plusOne(m.entries[key])
}

func backupUnderLock(m *locked, path string) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return marshalTo(path, m.entries)
}

func backupClone(m *locked, path string) error {
	return streamTo(path, maps.All(m.clone()))
}

func (m *locked) clone() map[string]string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.entries)
}

package peer

import (
	"iter"
	"sync"
)

func syncMap() System {
	return System{
		Name:     "sync.Map",
		Bulk:     Moving,
		Snapshot: Moving,
		Durable:  handWritten,
		Open:     openSyncMap,
		Load:     loadJSON(openSyncMap),
	}
}

type standardMap struct{ entries sync.Map }

func openSyncMap(home Home) (*Store, error) {
	m := new(standardMap)
	return &Store{
		Set:       m.set,
		Get:       m.get,
		Delete:    func(key string) { m.entries.Delete(key) },
		Len:       m.size,
		ReadMany:  readEach(m.get),
		Increment: m.increment,
		Backup:    func() error { return streamTo(home.Backup(), m.all()) },
		Close:     func() error { return nil },
	}, nil
}

func (m *standardMap) set(key, value string) { m.entries.Store(key, value) }

func (m *standardMap) get(key string) (string, bool) {
	value, found := m.entries.Load(key)
	if !found {
		return "", false
	}
	return value.(string), true
}

func (m *standardMap) size() (n int) {
	for range m.all() {
		n++
	}
	return n
}

func (m *standardMap) increment(key string) {
	old, _ := m.entries.LoadOrStore(key, "0")
	for !m.entries.CompareAndSwap(key, old, plusOne(old.(string))) {
		old, _ = m.entries.Load(key)
	}
}

func (m *standardMap) all() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		m.entries.Range(func(key, value any) bool {
			return yield(key.(string), value.(string))
		})
	}
}

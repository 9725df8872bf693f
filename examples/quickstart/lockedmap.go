package main

import (
	"encoding/json"
	"os"
	"sync"
)

// A lockedMap is what a program would have without genie: a map under a mutex, saved by
// json.Marshal.
type lockedMap struct {
	mu      sync.Mutex
	entries map[string]string
	path    string
}

func (m *lockedMap) setAndGet(key, value string) {
	m.mu.Lock()
	m.entries[key] = value
	m.mu.Unlock()
	m.mu.Lock()
	_ = m.entries[key]
	m.mu.Unlock()
}

// backup must hold the mutex: json.Marshal reads the map.
func (m *lockedMap) backup() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, err := json.Marshal(m.entries)
	if err != nil {
		return err
	}
	temp, err := os.Create(m.path + ".tmp")
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), m.path)
}

package main

import (
	"context"
	"slices"
	"sync"
)

// A mirror is the cache that a program keeps by hand: a map under a lock, which a goroutine fills
// from a watch.
type mirror struct {
	mu       sync.RWMutex
	entries  map[string]string
	revision uint64 // of the last change
	waiters  []waiter
	gap      chan struct{} // closed once changes are missing
}

// A waiter is a call that waits for a state of the mirror. shown is closed when condition holds;
// condition is called with the lock of the mirror.
type waiter struct {
	condition func() bool
	shown     chan struct{}
}

type change struct {
	key, value string
	deleted    bool
}

func newMirror() *mirror {
	return &mirror{entries: make(map[string]string), gap: make(chan struct{})}
}

func (m *mirror) Get(key string) (string, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.entries[key]
	return value, ok
}

// apply makes changes part of the mirror. The goroutine of the watch is its one caller.
func (m *mirror) apply(revision uint64, changes ...change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if c.deleted {
			delete(m.entries, c.key)
		} else {
			m.entries[c.key] = c.value
		}
	}
	m.revision = revision
	m.waiters = slices.DeleteFunc(m.waiters, waiter.satisfied)
}

func (w waiter) satisfied() bool {
	if !w.condition() {
		return false
	}
	close(w.shown)
	return true
}

// Shows waits for a value.
func (m *mirror) Shows(ctx context.Context, key, value string) error {
	return m.until(ctx, func() bool {
		now, ok := m.entries[key]
		return ok && now == value
	})
}

// reach waits for a revision, or a later one: NATS does not send a value that has been replaced.
func (m *mirror) reach(ctx context.Context, revision uint64) error {
	return m.until(ctx, func() bool { return m.revision >= revision })
}

func (m *mirror) until(ctx context.Context, condition func() bool) error {
	w := m.wait(condition)
	select {
	case <-w.shown:
		return nil
	case <-m.gap:
		return errGap
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wait adds a waiter, unless its condition holds already. A waiter whose caller has given up
// stays until its condition holds: a run ends with the first error.
func (m *mirror) wait(condition func() bool) waiter {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := waiter{condition, make(chan struct{})}
	if !w.satisfied() {
		m.waiters = append(m.waiters, w)
	}
	return w
}

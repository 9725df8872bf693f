package faults

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/etcd"
)

// A mirror is a map that follows a replica by nothing but the changes of a Watch.
type mirror struct {
	mu      sync.Mutex // guards the fields below
	entries map[string]string
	steps   int
	ends    int // of entries of calm groups
}

func newMirror() *mirror { return &mirror{entries: map[string]string{}} }

// follow applies the steps of a Watch until ctx ends.
func (m *mirror) follow(ctx context.Context, store *etcd.Store, found *findings) {
	revision := int64(0)
	for view, changes := range store.Watch(ctx) {
		if err := m.apply(changes); err != nil {
			found.add("watch, at revision %d: %v", view.Revision(), err)
		}
		if err := audit(view); err != nil {
			found.add("watch, at revision %d: %v", view.Revision(), err)
		}
		if view.Revision() < revision {
			found.add("watch: revision %d after %d", view.Revision(), revision)
		}
		revision = view.Revision()
	}
}

// apply applies one step, and returns an error if a change does not start where the mirror
// stands.
func (m *mirror) apply(changes iter.Seq[genie.Change]) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps++
	for c := range changes {
		if had, ok := m.entries[c.Key]; had != c.Old || ok != c.Existed {
			err = fmt.Errorf("%q changes from %q (%t), but was %q (%t)", c.Key, c.Old, c.Existed, had, ok)
		}
		if c.Exists {
			m.entries[c.Key] = c.New
		} else {
			delete(m.entries, c.Key)
			if strings.HasPrefix(c.Key, calmPrefix) {
				m.ends++
			}
		}
	}
	return err
}

func (m *mirror) equals(entries map[string]string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Equal(m.entries, entries)
}

// ended returns how many entries of calm groups the mirror has seen end.
func (m *mirror) ended() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ends
}

func TestMirrorFindsAStepThatDoesNotFit(t *testing.T) {
	m := newMirror()
	step := func(changes ...genie.Change) error { return m.apply(slices.Values(changes)) }
	require.NoError(t, step(genie.Change{Key: "a", New: "1", Exists: true}))
	require.NoError(t, step(genie.Change{Key: "a", Old: "1", Existed: true, New: "2", Exists: true}))
	require.True(t, m.equals(map[string]string{"a": "2"}))
	require.False(t, m.equals(map[string]string{"a": "1"}))
	require.False(t, m.equals(map[string]string{}))
	require.Error(t, step(genie.Change{Key: "a", Old: "1", Existed: true, New: "3", Exists: true}), "a step was missed")
	require.Error(t, step(genie.Change{Key: "b", Old: "", Existed: true}), "a key that was never made is deleted")
	require.NoError(t, step(genie.Change{Key: "a", Old: "3", Existed: true}))
	require.True(t, m.equals(map[string]string{}))
	require.Zero(t, m.ended())
	require.NoError(t, step(genie.Change{Key: keyOf(groups, 0), New: "1", Exists: true}))
	require.NoError(t, step(genie.Change{Key: keyOf(groups, 0), Old: "1", Existed: true}))
	require.Equal(t, 1, m.ended())
}

package faults

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A ledger is the keys that one worker writes once, and some of which it deletes once, each with
// what is known of its write.
type ledger struct {
	mu           sync.Mutex // guards the maps
	acknowledged map[string]string
	unknown      map[string]string
	refused      map[string]string
	deleted      map[string]string
	ends         map[string]string // whose leases end before the run does
}

func newLedger() *ledger {
	return &ledger{
		acknowledged: map[string]string{}, unknown: map[string]string{},
		refused: map[string]string{}, deleted: map[string]string{}, ends: map[string]string{},
	}
}

func (l *ledger) add(o outcome, key, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch o {
	case acknowledged:
		l.acknowledged[key] = value
	case unknown:
		l.unknown[key] = value
	case refused:
		l.refused[key] = value
	}
}

// deleting notes that an acknowledged key is about to be deleted, so it is not owed any more.
func (l *ledger) deleting(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.acknowledged, key)
}

// deletion notes how the delete of a key that had a value has ended.
func (l *ledger) deletion(o outcome, key, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch o {
	case acknowledged:
		l.deleted[key] = value
	case refused:
		l.acknowledged[key] = value
	}
}

// ending notes a key that stays on its lease, whether it was written or not.
func (l *ledger) ending(key, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends[key] = value
}

// owed returns the entries that every replica has after a Sync that begins now.
func (l *ledger) owed() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acknowledged)
}

// missing returns what of owed is not in entries.
func missing(owed, entries map[string]string) (faults []string) {
	for key, value := range owed {
		if got, ok := entries[key]; !ok || got != value {
			faults = append(faults, fmt.Sprintf("%q: acknowledged %q, found %q (%t)", key, value, got, ok))
		}
	}
	return faults
}

// impossible returns what of entries was refused or deleted, or differs from what was written. All
// leases must have ended.
func (l *ledger) impossible(entries map[string]string) (faults []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.refused {
		if got, ok := entries[key]; ok {
			faults = append(faults, fmt.Sprintf("%q: refused, found %q", key, got))
		}
	}
	for key := range l.deleted {
		if got, ok := entries[key]; ok {
			faults = append(faults, fmt.Sprintf("%q: deleted, found %q", key, got))
		}
	}
	for key := range l.ends {
		if got, ok := entries[key]; ok {
			faults = append(faults, fmt.Sprintf("%q: had a lease that has ended, found %q", key, got))
		}
	}
	for key, value := range l.unknown {
		if got, ok := entries[key]; ok && got != value {
			faults = append(faults, fmt.Sprintf("%q: unknown %q, found %q", key, value, got))
		}
	}
	return faults
}

// landed returns how many of the unknown writes are in entries.
func (l *ledger) landed(entries map[string]string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.unknown {
		if _, ok := entries[key]; ok {
			n++
		}
	}
	return n
}

func TestLedgerFindsWhatItLooksFor(t *testing.T) {
	l := newLedger()
	l.add(acknowledged, "a", "1")
	l.add(unknown, "u", "2")
	l.add(refused, "r", "3")
	for key, o := range map[string]outcome{"d": acknowledged, "e": unknown, "f": refused} {
		l.add(acknowledged, key, "4")
		l.deleting(key)
		l.deletion(o, key, "4")
	}
	l.ending("t", "5")
	for name, c := range map[string]struct {
		entries             map[string]string
		missing, impossible int
		landed              int
	}{
		"sound":             {map[string]string{"a": "1", "f": "4"}, 0, 0, 0},
		"sound, and landed": {map[string]string{"a": "1", "u": "2", "f": "4"}, 0, 0, 1},
		"lost":              {map[string]string{"f": "4"}, 1, 0, 0},
		"lost, not deleted": {map[string]string{"a": "1"}, 1, 0, 0},
		"deleted and there": {map[string]string{"a": "1", "f": "4", "d": "4"}, 0, 1, 0},
		"perhaps deleted":   {map[string]string{"a": "1", "f": "4", "e": "4"}, 0, 0, 0},
		"another value":     {map[string]string{"a": "0", "f": "4"}, 1, 0, 0},
		"ended and there":   {map[string]string{"a": "1", "f": "4", "t": "5"}, 0, 1, 0},
		"refused and there": {map[string]string{"a": "1", "r": "3", "f": "4"}, 0, 1, 0},
		"unknown and wrong": {map[string]string{"a": "1", "u": "0", "f": "4"}, 0, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			require.Len(t, missing(l.owed(), c.entries), c.missing)
			require.Len(t, l.impossible(c.entries), c.impossible)
			require.Equal(t, c.landed, l.landed(c.entries))
		})
	}
}

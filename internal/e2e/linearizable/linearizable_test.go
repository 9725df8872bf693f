// Package linearizable has tests only. They check that a store is linearizable:
// every operation takes effect at one instant between its call and its return. Many
// goroutines use a store at once. The tests record each call with its result, and
// porcupine searches for an order of all operations that explains the results.
package linearizable

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var keys = [2]string{"a", "b"}

// A state is the values of keys; "" is no value.
type state [len(keys)]string

// An operation is one call of the store.
type operation struct {
	what  string
	key   int
	value string
}

// step returns the state after op, and reports whether op could have given seen.
func step(before state, op operation, seen state) (ok bool, after state) {
	after = before
	switch op.what {
	case "set":
		after[op.key] = op.value
	case "delete":
		after[op.key] = ""
	case "get":
		return seen[op.key] == before[op.key], after
	case "snapshot", "view", "backup":
		return seen == before, after
	case "swap": // an Update that sees both keys and writes both
		after = state{before[1], before[0]}
		return seen == before, after
	case "fail": // an Update that writes, and fails
		return seen == before, after
	}
	return true, after
}

var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(before, op, seen any) (bool, any) {
		return step(before.(state), op.(operation), seen.(state))
	},
}

// A recorder gathers the operations of several goroutines, with times.
type recorder struct {
	start time.Time
	mu    sync.Mutex // guards ops
	ops   []porcupine.Operation
}

func (r *recorder) record(client int, op operation, do func() state) {
	call := time.Since(r.start).Nanoseconds()
	seen := do()
	returned := time.Since(r.start).Nanoseconds()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: op, Call: call, Output: seen, Return: returned})
}

func fromMap(m map[string]string) (s state) {
	for i, key := range keys {
		s[i] = m[key]
	}
	return s
}

var errWanted = errors.New("wanted")

// apply carries out op on store and returns the values that op has seen.
func apply(t *testing.T, store *genie.Store, file string, op operation) (seen state) {
	key := keys[op.key]
	switch op.what {
	case "set":
		store.Set(key, op.value)
	case "delete":
		store.Delete(key)
	case "get":
		seen[op.key], _ = store.Get(key)
	case "snapshot":
		seen = fromMap(store.Snapshot())
	case "view":
		require.NoError(t, store.View(func(v *genie.View) error {
			for i, key := range keys {
				seen[i], _ = v.Get(key)
			}
			return nil
		}))
	case "backup":
		require.NoError(t, store.Backup())
		seen = fromFile(t, file)
	case "swap":
		require.NoError(t, store.Update(func(tx *genie.Tx) error {
			seen = swap(tx)
			return nil
		}))
	case "fail":
		require.ErrorIs(t, store.Update(func(tx *genie.Tx) error {
			seen = swap(tx)
			return errWanted
		}), errWanted)
	}
	return seen
}

func swap(tx *genie.Tx) (seen state) {
	for i, key := range keys {
		seen[i], _ = tx.Get(key)
		tx.Delete(key)
	}
	for i, key := range keys {
		if other := seen[1-i]; other != "" {
			tx.Set(key, other)
		}
	}
	return seen
}

// fromFile reads a backup as another program would.
func fromFile(t *testing.T, file string) state {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var m map[string]string
	require.NoError(t, json.Unmarshal(text, &m))
	return fromMap(m)
}

func TestLinearizable(t *testing.T) {
	whats := []string{"set", "get", "delete", "swap", "snapshot", "view", "fail", "get", "set"}
	for round := range 30 {
		file := filepath.Join(t.TempDir(), "store.json")
		store, err := genie.NewStore(genie.WithPath(file))
		require.NoError(t, err)
		r := &recorder{start: time.Now()}
		var wg sync.WaitGroup
		for client := range 6 {
			wg.Go(func() {
				for i := range 40 {
					n := client + i*7 + round
					op := operation{whats[n%len(whats)], n / 3 % 2, fmt.Sprintf("%d.%d", client, i)}
					if client == 0 && i%4 == 0 { // the only one: a later backup would hide an earlier
						op = operation{what: "backup"}
					}
					r.record(client, op, func() state { return apply(t, store, file, op) })
				}
			})
		}
		wg.Wait()
		require.NoError(t, store.Close())
		result := porcupine.CheckOperationsTimeout(model, r.ops, time.Minute)
		require.Equal(t, porcupine.Ok, result, "round %d", round)
	}
}

// The checker finds the faults that it looks for.
func TestFaultyHistoriesAreSeen(t *testing.T) {
	set := func(key int, value string) operation { return operation{"set", key, value} }
	type call struct {
		op   operation
		seen state
	}
	for name, calls := range map[string][]call{
		"a lost write":       {{set(0, "1"), state{}}, {operation{"get", 0, ""}, state{}}},
		"a stale read":       {{set(0, "1"), state{}}, {set(0, "2"), state{}}, {operation{"get", 0, ""}, state{"1"}}},
		"a torn view":        {{set(0, "1"), state{}}, {set(1, "1"), state{}}, {operation{what: "view"}, state{"", "1"}}},
		"a stale backup":     {{set(0, "1"), state{}}, {operation{what: "backup"}, state{}}},
		"half an update":     {{set(0, "1"), state{}}, {operation{what: "swap"}, state{"1"}}, {operation{what: "view"}, state{"1", "1"}}},
		"a failed one stays": {{set(0, "1"), state{}}, {operation{what: "fail"}, state{"1"}}, {operation{what: "view"}, state{"", "1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var ops []porcupine.Operation
			for i, c := range calls { // one after the other
				ops = append(ops, porcupine.Operation{Input: c.op, Output: c.seen, Call: int64(2 * i), Return: int64(2*i + 1)})
			}
			require.False(t, porcupine.CheckOperations(model, ops))
		})
	}
}

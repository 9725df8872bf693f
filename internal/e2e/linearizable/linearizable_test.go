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
	"strconv"
	"strings"
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
	case "set", "set with ttl":
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
	case "get or set":
		if before[op.key] == "" {
			after[op.key] = op.value
		}
		return seen[op.key] == after[op.key], after
	case "compare and swap": // "0" by a value; seen tells whether it was swapped
		if before[op.key] != "0" {
			return seen == state{}, after
		}
		after[op.key] = op.value
		return seen != state{}, after
	case "increment":
		n, _ := strconv.Atoi(before[op.key])
		after[op.key] = strconv.Itoa(n + 1)
		return seen[op.key] == after[op.key], after
	case "clear": // an Update that removes all and sets one
		after = state{}
		after[op.key] = op.value
	case "read":
		after = state{op.value, ""}
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
			tx.Clear()
			return errWanted
		}), errWanted)
	default:
		return applyNew(t, store, op)
	}
	return seen
}

// applyNew is apply for the calls of one key, of deadlines, and of all entries.
func applyNew(t *testing.T, store *genie.Store, op operation) (seen state) {
	key := keys[op.key]
	switch op.what {
	case "set with ttl":
		store.SetWithTTL(key, op.value, time.Hour)
	case "get or set":
		seen[op.key], _ = store.GetOrSet(key, op.value)
	case "compare and swap":
		if store.CompareAndSwap(key, "0", op.value) {
			seen[op.key] = op.value
		}
	case "increment":
		sum, err := store.Increment(key, 1)
		require.NoError(t, err)
		seen[op.key] = strconv.FormatInt(sum, 10)
	case "clear":
		require.NoError(t, store.Update(func(tx *genie.Tx) error {
			tx.Clear()
			tx.Set(key, op.value)
			return nil
		}))
	case "read":
		_, err := store.ReadFrom(strings.NewReader(fmt.Sprintf(`{"a":%q}`, op.value)))
		require.NoError(t, err)
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
	values := map[string]string{}
	var m map[string]any
	require.NoError(t, json.Unmarshal(text, &m))
	for key, value := range m {
		if timed, ok := value.(map[string]any); ok {
			value = timed["value"]
		}
		values[key] = value.(string)
	}
	return fromMap(values)
}

func TestLinearizable(t *testing.T) {
	whats := []string{
		"set", "get", "delete", "swap", "snapshot", "view", "fail", "get", "set",
		"get or set", "compare and swap", "increment", "get", "set with ttl", "clear", "get", "read", "increment",
	}
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
					op := operation{whats[n%len(whats)], n / 3 % 2, strconv.Itoa(n % 3 * (1 + client*100 + i))}
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
		"a lost increment":   {{operation{"increment", 0, ""}, state{"1"}}, {operation{"increment", 0, ""}, state{"1"}}},
		"a swap of another":  {{set(0, "1"), state{}}, {operation{"compare and swap", 0, "2"}, state{"2"}}},
		"no swap":            {{set(0, "0"), state{}}, {operation{"compare and swap", 0, "2"}, state{}}},
		"set over a value":   {{set(0, "1"), state{}}, {operation{"get or set", 0, "2"}, state{"2"}}},
		"half a clear":       {{set(1, "1"), state{}}, {operation{"clear", 0, "2"}, state{}}, {operation{what: "view"}, state{"2", "1"}}},
		"half a read":        {{set(1, "1"), state{}}, {operation{"read", 0, "2"}, state{}}, {operation{what: "view"}, state{"2", "1"}}},
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

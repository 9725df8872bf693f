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

// A values is the values of keys; "" is no value.
type values [len(keys)]string

// A state is the entries of keys.
type state [len(keys)]entry

// An entry with a deadline ends between from and to, in nanoseconds since 1970: no history
// tells when in a SetWithTTL the store has read the clock. A from of 0 is no deadline.
type entry struct {
	value    string
	from, to int64
}

// canEndAt reports whether the deadline, in nanoseconds, or "", can be that of e.
func (e entry) canEndAt(deadline string) bool {
	at, _ := strconv.ParseInt(deadline, 10, 64)
	return e.from <= at && at <= e.to
}

// isInFileAs reports whether text, a value of fromFile, can be that of e.
func (e entry) isInFileAs(text string) bool {
	value, deadline, _ := strings.Cut(text, "@")
	return e.value == value && e.canEndAt(deadline)
}

func (s state) values() (v values) {
	for i, e := range s {
		v[i] = e.value
	}
	return v
}

// An operation is one call of the store.
type operation struct {
	what             string
	key              int
	value            string
	ttl              time.Duration
	called, returned int64
}

// steps returns the states in which op can have left the store, if op has given seen.
func steps(before state, op operation, seen values) (after []any) {
	for _, before := range endings(before, op) {
		if ok, next := step(before, op, seen); ok {
			after = append(after, next)
		}
	}
	return after
}

// endings returns the states that op can have found: an entry is there until its deadline,
// not from its deadline on, and perhaps if the deadline can be during op. An entry that op
// has not found never comes back. A file may hold an entry that has ended: a load drops it.
func endings(before state, op operation) []state {
	found := []state{before}
	for key, e := range before {
		if e.from == 0 || op.returned < e.from {
			continue
		}
		for i, s := range found {
			s[key] = entry{}
			if op.called > e.to && op.what != "backup" {
				found[i] = s
			} else {
				found = append(found, s)
			}
		}
	}
	return found
}

// step returns the state after op, and reports whether op could have given seen.
func step(before state, op operation, seen values) (ok bool, after state) {
	after = before
	found, plain := before[op.key], entry{value: op.value}
	switch op.what {
	case "set":
		after[op.key] = plain
	case "set with ttl":
		after[op.key] = entry{op.value, op.called + int64(op.ttl), op.returned + int64(op.ttl)}
	case "delete":
		after[op.key] = entry{}
	case "get":
		return seen[op.key] == found.value, after
	case "expires at":
		return found.canEndAt(seen[op.key]), after
	case "snapshot", "view":
		return seen == before.values(), after
	case "backup":
		return before[0].isInFileAs(seen[0]) && before[1].isInFileAs(seen[1]), after
	case "swap": // an Update that sees both keys and writes both
		after = state{{value: before[1].value}, {value: before[0].value}}
		return seen == before.values(), after
	case "fail": // an Update that writes, and fails
		return seen == before.values(), after
	case "get or set":
		if found.value == "" {
			after[op.key] = plain
		}
		return seen[op.key] == after[op.key].value, after
	case "compare and swap": // "0" by a value; seen tells whether it was swapped
		if found.value != "0" {
			return seen == values{}, after
		}
		after[op.key] = plain
		return seen != values{}, after
	case "increment": // which keeps the deadline
		n, _ := strconv.Atoi(found.value)
		after[op.key].value = strconv.Itoa(n + 1)
		return seen[op.key] == after[op.key].value, after
	case "clear": // an Update that removes all and sets one
		after = state{}
		after[op.key] = plain
	case "read":
		after = state{plain}
	}
	return true, after
}

var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{state{}} },
	Step: func(before, op, seen any) []any {
		return steps(before.(state), op.(operation), seen.(values))
	},
}).ToModel()

// A recorder gathers the operations of several goroutines, with times.
type recorder struct {
	mu  sync.Mutex // guards ops
	ops []porcupine.Operation
}

func (r *recorder) record(client int, op operation, do func() values) {
	op.called = time.Now().UnixNano() // the clock that deadlines are compared with
	seen := do()
	op.returned = time.Now().UnixNano()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: op, Call: op.called, Output: seen, Return: op.returned})
}

func fromMap(m map[string]string) (v values) {
	for i, key := range keys {
		v[i] = m[key]
	}
	return v
}

var errWanted = errors.New("wanted")

// apply carries out op on store and returns the values that op has seen.
func apply(t *testing.T, store *genie.Store, file string, op operation) (seen values) {
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
func applyNew(t *testing.T, store *genie.Store, op operation) (seen values) {
	key := keys[op.key]
	switch op.what {
	case "set with ttl":
		store.SetWithTTL(key, op.value, op.ttl)
	case "expires at":
		if at, ok := store.ExpiresAt(key); ok {
			seen[op.key] = strconv.FormatInt(at.UnixNano(), 10)
		}
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

func swap(tx *genie.Tx) (seen values) {
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

// fromFile reads a backup as another program would. A value with a deadline has the deadline
// behind it, as in "1@1700000000000000000".
func fromFile(t *testing.T, file string) values {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(text, &m))
	found := map[string]string{}
	for key, value := range m {
		if timed, ok := value.(map[string]any); ok {
			expires, err := time.Parse(time.RFC3339Nano, timed["expires"].(string))
			require.NoError(t, err)
			value = fmt.Sprintf("%s@%d", timed["value"], expires.UnixNano())
		}
		found[key] = value.(string)
	}
	return fromMap(found)
}

func TestLinearizable(t *testing.T) {
	whats := []string{
		"set", "get", "delete", "swap", "snapshot", "view", "fail", "get", "set",
		"get or set", "compare and swap", "increment", "get", "set with ttl", "clear", "get", "read", "increment",
		"set with ttl", "get", "expires at", "increment", "view", "set with ttl", "expires at", "get or set",
	}
	// Most entries end while the history goes on, some while a call does.
	ttls := []time.Duration{50 * time.Microsecond, 500 * time.Microsecond, 5 * time.Millisecond, time.Hour}
	for round := range 30 {
		file := filepath.Join(t.TempDir(), "store.json")
		store, err := genie.NewStore(genie.WithPath(file))
		require.NoError(t, err)
		r := &recorder{}
		var wg sync.WaitGroup
		for client := range 6 {
			wg.Go(func() {
				for i := range 40 {
					n := client + i*7 + round
					op := operation{what: whats[n%len(whats)], key: n / 3 % 2, value: strconv.Itoa(n % 3 * (1 + client*100 + i)), ttl: ttls[(n+i)%len(ttls)]}
					if client == 0 && i%4 == 0 { // the only one: a later backup would hide an earlier
						op = operation{what: "backup"}
					}
					r.record(client, op, func() values { return apply(t, store, file, op) })
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
	set := func(key int, value string) operation { return operation{what: "set", key: key, value: value} }
	get := operation{what: "get"}
	timed := operation{what: "set with ttl", value: "1", ttl: 2} // from 2 to 3
	type call struct {
		op   operation
		seen values
	}
	for name, calls := range map[string][]call{
		"a lost write":            {{set(0, "1"), values{}}, {get, values{}}},
		"a stale read":            {{set(0, "1"), values{}}, {set(0, "2"), values{}}, {get, values{"1"}}},
		"a torn view":             {{set(0, "1"), values{}}, {set(1, "1"), values{}}, {operation{what: "view"}, values{"", "1"}}},
		"a stale backup":          {{set(0, "1"), values{}}, {operation{what: "backup"}, values{}}},
		"half an update":          {{set(0, "1"), values{}}, {operation{what: "swap"}, values{"1"}}, {operation{what: "view"}, values{"1", "1"}}},
		"a lost increment":        {{operation{what: "increment"}, values{"1"}}, {operation{what: "increment"}, values{"1"}}},
		"a swap of another":       {{set(0, "1"), values{}}, {operation{what: "compare and swap", value: "2"}, values{"2"}}},
		"no swap":                 {{set(0, "0"), values{}}, {operation{what: "compare and swap", value: "2"}, values{}}},
		"set over a value":        {{set(0, "1"), values{}}, {operation{what: "get or set", value: "2"}, values{"2"}}},
		"half a clear":            {{set(1, "1"), values{}}, {operation{what: "clear", value: "2"}, values{}}, {operation{what: "view"}, values{"2", "1"}}},
		"half a read":             {{set(1, "1"), values{}}, {operation{what: "read", value: "2"}, values{}}, {operation{what: "view"}, values{"2", "1"}}},
		"a read after the end":    {{timed, values{}}, {set(1, "1"), values{}}, {get, values{"1"}}},
		"an end too early":        {{operation{what: "set with ttl", value: "1", ttl: 9}, values{}}, {get, values{}}},
		"an entry that came back": {{timed, values{}}, {get, values{}}, {get, values{"1"}}},
		"a deadline kept by set":  {{timed, values{}}, {set(0, "2"), values{}}, {set(1, "1"), values{}}, {get, values{}}},
		"a deadline not kept":     {{timed, values{}}, {operation{what: "increment"}, values{"2"}}, {get, values{"2"}}},
		"another deadline":        {{timed, values{}}, {operation{what: "expires at"}, values{"4"}}},
		"a backup without it":     {{timed, values{}}, {operation{what: "backup"}, values{"1"}}},
		"a backup of the ended":   {{timed, values{}}, {set(0, "2"), values{}}, {operation{what: "backup"}, values{"1@2"}}},
		"a deadline after an end": {{timed, values{}}, {set(1, "1"), values{}}, {operation{what: "expires at"}, values{"3"}}},
		"a failed one stays":      {{set(0, "1"), values{}}, {operation{what: "fail"}, values{"1"}}, {operation{what: "view"}, values{"", "1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var ops []porcupine.Operation
			for i, c := range calls { // one after the other
				c.op.called, c.op.returned = int64(2*i), int64(2*i+1)
				ops = append(ops, porcupine.Operation{Input: c.op, Output: c.seen, Call: c.op.called, Return: c.op.returned})
			}
			require.False(t, porcupine.CheckOperations(model, ops))
		})
	}
}

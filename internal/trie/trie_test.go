package trie

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func key(i int) string { return "key-" + strconv.Itoa(10_000_000+i) }

// filled returns a map of n entries.
func filled(n int) *Map {
	m := New()
	for i := range n {
		m.Set(key(i), "v")
	}
	return m
}

// A witness is a view with its expected contents and a copy of its nodes.
type witness struct {
	view  View
	model map[string]string
	nodes frozen
}

// A twin writes to a Map and to a Go map, its model.
type twin struct {
	m     *Map
	model map[string]string
	views []witness
}

func newTwin(keep uint64) *twin {
	m := New()
	m.keep = keep
	return &twin{m: m, model: map[string]string{}}
}

func (w *twin) set(t require.TestingT, key, value string) {
	was, had := w.model[key]
	if old, existed := w.m.Set(key, value); old != was || existed != had {
		require.Fail(t, "Set", "%q: %q, %v, want %q, %v", key, old, existed, was, had)
	}
	w.model[key] = value
}

func (w *twin) addAll(t require.TestingT, keys, values []string) {
	want := len(keys)
	for i, key := range keys {
		_, had := w.model[key]
		if w.model[key] = values[i]; had {
			want = i
			break
		}
	}
	require.Equal(t, want, w.m.AddAll(keys, values, nil))
}

func (w *twin) delete(t require.TestingT, key string) {
	was, had := w.model[key]
	if old, existed := w.m.Delete(key); old != was || existed != had {
		require.Fail(t, "Delete", "%q: %q, %v, want %q, %v", key, old, existed, was, had)
	}
	delete(w.model, key)
}

func (w *twin) view() {
	v := w.m.View()
	w.views = append(w.views, witness{v, maps.Clone(w.model), freeze(v)})
}

func (w *twin) drop(i int) { w.views = slices.Delete(w.views, i, i+1) }

// check compares the map and every view with the models, and returns the shape of
// the map.
func (w *twin) check(t require.TestingT) shape {
	require.Equal(t, len(w.model), w.m.Len())
	requireSame(t, w.model, w.m.current()) // View() would start an epoch
	for _, seen := range w.views {
		requireSame(t, seen.model, seen.view)
		require.True(t, seen.nodes.unchanged(), "a node of a view was written to")
	}
	return check(t, w.m)
}

// requireSame requires that v and model hold the same entries.
func requireSame(t require.TestingT, model map[string]string, v View) {
	require.Equal(t, len(model), v.Len())
	yielded := 0
	seen := make(map[string]string, len(model))
	for key, value := range v.All {
		yielded++
		seen[key] = value
	}
	require.Equal(t, len(seen), yielded, "each key once")
	require.True(t, maps.Equal(model, seen), "All")
	for key, want := range model {
		if got, ok := v.Get(key); !ok || got != want { // require would take longer than Get
			require.Fail(t, "Get", "%q: %q, %v, want %q", key, got, ok, want)
		}
	}
	for _, key := range []string{"", "missing"} { // unused entries of a leaf have the empty key
		want, had := model[key]
		got, ok := v.Get(key)
		require.Equal(t, had, ok, "%q", key)
		require.Equal(t, want, got, "%q", key)
	}
}

// collisions are masks of hashes. With fewer bits, more keys collide.
var collisions = map[string]uint64{
	"the topmost 4 bits":  0xf << 60,
	"1 bit in between":    1 << 30,
	"the lowest 2 levels": 0xff << lastShift,
	"the tag":             0xff,
	"nothing":             0,
}

// After any writes, a map holds the entries of its model, and each view those of
// the model at the time of the view.
func TestMapAndViewsAgainstAPlainMap(t *testing.T) {
	t.Run("whole hashes", rapid.MakeCheck(func(t *rapid.T) { againstAPlainMap(t, newTwin(^uint64(0))) }))
	t.Run("collisions", rapid.MakeCheck(func(t *rapid.T) {
		keep := rapid.SampledFrom(slices.Sorted(maps.Keys(collisions))).Draw(t, "keep")
		againstAPlainMap(t, newTwin(collisions[keep]))
	}))
}

func againstAPlainMap(t *rapid.T, w *twin) {
	keys := rapid.OneOf(rapid.Map(rapid.IntRange(0, 100), key), rapid.Just(""))
	from := rapid.IntRange(0, 60)
	t.Repeat(map[string]func(*rapid.T){
		"set":    func(t *rapid.T) { w.set(t, keys.Draw(t, "key"), rapid.StringN(0, 3, -1).Draw(t, "value")) },
		"delete": func(t *rapid.T) { w.delete(t, keys.Draw(t, "key")) },
		"set many": func(t *rapid.T) {
			from := from.Draw(t, "from")
			for i := range 40 {
				w.set(t, key(from+i), "many")
			}
		},
		"add all": func(t *rapid.T) {
			values := rapid.SliceOfN(rapid.StringN(0, 3, -1), 0, 200).Draw(t, "values")
			first := rapid.SampledFrom([]int{0, 50, 1_000, 2_000}).Draw(t, "first")
			keys := make([]string, len(values))
			for i := range keys {
				keys[i] = key(first + i)
			}
			if len(keys) > 0 && rapid.Bool().Draw(t, "one twice") {
				keys[len(keys)-1] = keys[rapid.IntRange(0, len(keys)-1).Draw(t, "which")]
			}
			w.addAll(t, keys, values)
		},
		"delete many": func(t *rapid.T) {
			from := from.Draw(t, "from")
			for i := range 40 {
				w.delete(t, key(from+i))
			}
		},
		"get": func(t *rapid.T) {
			key := keys.Draw(t, "key")
			want, had := w.model[key]
			got, ok := w.m.Get(key)
			require.Equal(t, had, ok)
			require.Equal(t, want, got)
		},
		"take a view": func(*rapid.T) { w.view() },
		"drop a view": func(t *rapid.T) {
			if len(w.views) > 0 {
				w.drop(rapid.IntRange(0, len(w.views)-1).Draw(t, "view"))
			}
		},
		"": func(t *rapid.T) { w.check(t) },
	})
}

// Thousands of keys come and go: leaves divide and join, and branches grow and
// collapse, several levels deep.
func TestLargeMapAgainstAPlainMap(t *testing.T) {
	const keys, steps = 12_000, 20
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newTwin(^uint64(0))
	var divided, joined, grew, collapsed, deepest int
	before := w.check(t)
	for step := range steps {
		for range keys / 6 { // more Sets in the first half, more Deletes after it
			if k := key(random.IntN(keys)); (random.IntN(20) > 0) == (step < steps/2) {
				w.set(t, k, fmt.Sprint(step))
			} else {
				w.delete(t, k)
			}
		}
		if w.view(); len(w.views) > 3 {
			w.drop(random.IntN(len(w.views)))
		}
		after := w.check(t)
		divided += max(0, after.leaves-before.leaves)
		joined += max(0, before.leaves-after.leaves)
		grew += max(0, after.branches-before.branches)
		collapsed += max(0, before.branches-after.branches)
		deepest = max(deepest, after.levels)
		before = after
	}
	require.GreaterOrEqual(t, deepest, 3)
	require.Greater(t, min(divided, joined), 100)
	require.Greater(t, min(grew, collapsed), 50)
}

func TestDeletingEverythingGivesTheNodesBack(t *testing.T) {
	t.Run("whole hashes", func(t *testing.T) { testDeletingEverything(t, ^uint64(0), 100_000) })
	for name, keep := range collisions {
		t.Run(name, func(t *testing.T) { testDeletingEverything(t, keep, 1_000) })
	}
}

func testDeletingEverything(t *testing.T, keep uint64, n int) {
	m := New()
	m.keep = keep
	for i := range n {
		m.Set(key(i), "v")
	}
	full := check(t, m)
	require.GreaterOrEqual(t, full.leaves+full.chained, n/leafSize)
	for _, i := range rand.Perm(n) {
		m.Delete(key(i))
	}
	require.Equal(t, shape{branches: 1, leaves: 1, levels: 1}, check(t, m))
}

// Leaves join only if the result has room to grow: setting and deleting a key in
// turns does not divide and join a leaf each time.
func TestAKeyThatComesAndGoesDividesNothing(t *testing.T) {
	m := New()
	for i := 0; ; i++ {
		before := check(t, m)
		m.Set(key(i), "v")
		if full := check(t, m); full.leaves > 10 && full.leaves > before.leaves {
			for range 3 {
				m.Delete(key(i))
				require.Equal(t, full.leaves, check(t, m).leaves)
				m.Set(key(i), "v")
				require.Equal(t, full, check(t, m))
			}
			return
		}
	}
}

// Keys with equal hashes are chained at the last level. The branches that lead to
// the chain are made once, not for each key.
func TestKeysThatCannotBeDivided(t *testing.T) {
	m := New()
	m.keep = 0
	for i := range leafSize {
		m.Set(key(i), "v")
	}
	require.Equal(t, shape{branches: 1, leaves: 1, levels: 1, entries: leafSize}, check(t, m))

	m.Set(key(leafSize), "one too many")
	const levels = 64/indexBits - 2 // the last 8 bits are the tag
	found := check(t, m)
	require.Equal(t, shape{
		branches: levels,
		leaves:   levels*indexBits + 1, // each division leaves an empty leaf
		chained:  1,
		levels:   levels,
		entries:  leafSize + 1,
	}, found)

	for i := range 1000 {
		m.Set(key(i), "more")
	}
	found.entries, found.chained = 1000, (1000-1)/leafSize
	require.Equal(t, found, check(t, m))
	for i := range 1000 {
		got, ok := m.Get(key(i))
		require.True(t, ok)
		require.Equal(t, "more", got)
	}
}

// A chain and its neighbour do not join, however few entries the first leaf has.
func TestAChainIsNotJoined(t *testing.T) {
	w := newTwin(1 << lastShift)
	var chain, beside []string
	for i := 0; len(chain) < leafSize+1 || len(beside) < 2; i++ {
		if k := key(i); w.m.hash(k) == 0 && len(chain) < leafSize+1 {
			chain = append(chain, k)
			w.set(t, k, "v")
		} else if w.m.hash(k) != 0 && len(beside) < 2 {
			beside = append(beside, k)
			w.set(t, k, "v")
		}
	}
	require.Equal(t, 1, w.check(t).chained)
	w.delete(t, beside[0])
	require.Equal(t, 1, w.check(t).chained)
	w.delete(t, chain[0])
	require.Equal(t, 0, w.check(t).chained)
}

func TestTheEmptyMap(t *testing.T) {
	m := New()
	w := twin{m: m, model: map[string]string{}}
	w.view()
	w.check(t)
	_, ok := m.Delete("missing")
	require.False(t, ok)
	w.set(t, "", "")
	w.check(t)
	w.delete(t, "")
	w.check(t)
}

func TestDeleteOfAMissingKeyCopiesNothing(t *testing.T) {
	m := filled(10_000)
	v := m.View()
	m.Delete("missing")
	require.Same(t, v.root, m.root)
}

// Every Map has its own hash seed: keys that collide in one map do not collide in
// all maps.
func TestMapsDoNotHashAlike(t *testing.T) {
	one, other := New(), New()
	require.NotEqual(t, one.hash("key"), other.hash("key"))
}

package trie

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A timedTwin writes to a Map and to a Go map, its model, and tells the Map the time.
type timedTwin struct {
	m     *Map
	now   int64
	model map[string]Entry // with the entries that are over and not removed yet
	views []timedWitness
}

// A timedWitness is a view with its expected contents and a copy of its nodes.
type timedWitness struct {
	view  View
	alive map[string]Entry
	nodes frozen
}

func newTimedTwin(keep uint64) *timedTwin {
	m := New()
	m.keep = keep
	m.Advance(1_000)
	return &timedTwin{m: m, now: 1_000, model: map[string]Entry{}}
}

func (w *timedTwin) set(e Entry) {
	w.m.Replace(e)
	w.model[e.Key] = e
}

func (w *timedTwin) delete(key string) {
	w.m.Remove(key)
	delete(w.model, key)
}

func (w *timedTwin) advance(now int64) {
	w.now = now
	w.m.Advance(now)
}

// expire has one leaf's entries removed, and requires that only those went that are over.
func (w *timedTwin) expire(t require.TestingT) {
	before, removed := len(w.model), w.m.Expire()
	maps.DeleteFunc(w.model, func(key string, e Entry) bool {
		at, _ := w.m.root.find(w.m.hash(key), key)
		if at == nil {
			require.True(t, isDue(e.Deadline, w.now), "%q went, which ends at %d, at %d", key, e.Deadline, w.now)
		}
		return at == nil
	})
	require.Equal(t, removed, before-len(w.model))
}

// expireAll calls Expire for as long as it is told to, and requires that nothing is left
// that is over.
func (w *timedTwin) expireAll(t require.TestingT) {
	for calls := 0; w.m.IsDue(); calls++ {
		require.Less(t, calls, 100_000)
		w.expire(t)
	}
	require.Equal(t, w.alive(), w.model)
}

func (w *timedTwin) alive() map[string]Entry {
	alive := maps.Clone(w.model)
	maps.DeleteFunc(alive, func(_ string, e Entry) bool { return isDue(e.Deadline, w.now) })
	return alive
}

func (w *timedTwin) view() {
	v := w.m.View()
	w.views = append(w.views, timedWitness{v, w.alive(), freeze(v)})
}

// check requires that the map and all views have what they should, and that Diff finds
// exactly the differences of each two.
func (w *timedTwin) check(t require.TestingT) {
	check(t, w.m)
	w.view()
	for _, a := range w.views {
		require.True(t, a.nodes.unchanged())
		requireEntries(t, a.alive, a.view)
		for _, b := range append(w.views, timedWitness{}) {
			requireDiff(t, a.view, b.view, a.alive, b.alive)
			requireDiff(t, b.view, a.view, b.alive, a.alive)
		}
	}
}

func requireEntries(t require.TestingT, want map[string]Entry, v View) {
	found := map[string]Entry{}
	for e := range v.Entries {
		found[e.Key] = e
	}
	if !maps.Equal(want, found) {
		require.Equal(t, want, found)
	}
	require.Equal(t, len(want), v.Len())
	values := 0
	for key, value := range v.All {
		values++
		got, ok := v.Get(key)
		require.True(t, ok && got == value && want[key].Value == value && v.Deadline(key) == want[key].Deadline)
	}
	require.Equal(t, len(want), values)
}

func requireDiff(t require.TestingT, old, new View, before, after map[string]Entry) {
	want := map[string]Change{}
	for key, is := range after {
		if was, existed := before[key]; was != is {
			want[key] = Change{key, was.Value, is.Value, existed, true, is.Deadline}
		}
	}
	for key, was := range before {
		if _, exists := after[key]; !exists {
			want[key] = Change{Key: key, Old: was.Value, Existed: true}
		}
	}
	found, yielded := map[string]Change{}, 0
	for c := range Diff(old, new) {
		found[c.Key] = c
		yielded++
	}
	require.Equal(t, len(found), yielded, "each key once")
	if !maps.Equal(want, found) {
		require.Equal(t, want, found)
	}
}

var hashBits = map[string]uint64{
	"hashes":                     ^uint64(0),
	"few hashes":                 0xf00f << 48,
	"one hash, so a single leaf": 0,
}

func TestDeadlinesAgainstPlainMaps(t *testing.T) {
	for name, keep := range hashBits {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			w := newTimedTwin(keep)
			keys := rapid.IntRange(1, 600).Draw(t, "keys")
			timed := rapid.IntRange(0, 100).Draw(t, "timed")
			random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			for range rapid.IntRange(1, 8).Draw(t, "rounds") {
				growth := rapid.IntRange(20, 100).Draw(t, "growth")
				for range rapid.IntRange(0, 400).Draw(t, "writes") {
					w.write(key(random.IntN(keys)), random, growth, timed)
				}
				w.pass(t, rapid.SampledFrom([]string{"view", "later", "earlier", "expire", "expire all", "clear", "adopt", "undo"}).Draw(t, "then"), random)
			}
			w.check(t)
			w.expireAll(t)
			w.check(t)
		}))
	}
}

func (w *timedTwin) write(key string, random *rand.Rand, growth, timed int) {
	e := Entry{Key: key, Value: fmt.Sprint(random.IntN(3))}
	switch {
	case random.IntN(100) >= growth:
		w.delete(key)
		return
	case random.IntN(100) < timed:
		e.Deadline = w.now + int64(random.IntN(40)-10)
	}
	w.set(e)
}

// pass has time pass, or the whole map change.
func (w *timedTwin) pass(t require.TestingT, how string, random *rand.Rand) {
	switch how {
	case "view":
		w.view()
	case "later":
		w.advance(w.now + int64(random.IntN(30)))
	case "earlier":
		w.advance(w.now - int64(random.IntN(10)))
	case "expire":
		w.expire(t)
	case "expire all":
		w.expireAll(t)
	case "clear":
		w.m.Clear()
		w.model = map[string]Entry{}
	case "adopt":
		w.adopt(t)
	case "undo":
		model := maps.Clone(w.model)
		before := w.m.Clear()
		for i := range 100 {
			w.set(Entry{key(i), "undone", w.now + int64(i)})
		}
		w.m.Restore(before)
		w.model = model
	}
	check(t, w.m)
}

// adopt replaces all entries by others, half of them the same.
func (w *timedTwin) adopt(t require.TestingT) {
	other := NewLike(w.m.View())
	next := map[string]Entry{}
	var keys, values []string
	var deadlines []int64
	for i, key := range slices.Sorted(maps.Keys(w.model)) {
		e := w.model[key]
		if i%2 == 0 {
			e = Entry{key, "adopted", w.now + int64(i%7)}
		}
		next[key] = e
		keys, values, deadlines = append(keys, key), append(values, e.Value), append(deadlines, e.Deadline)
	}
	require.Equal(t, len(keys), other.AddAll(keys, values, deadlines))
	for i := range 30 { // its nodes have epochs of their own, perhaps later ones
		_ = other.View()
		next[key(i)] = Entry{Key: key(i), Value: "late"}
		other.Replace(next[key(i)])
	}
	w.m.Adopt(other)
	w.model = next
}

// Between two views that share all nodes, entries have ended, or have come back.
func TestDiffOfTimeAlone(t *testing.T) {
	w := newTimedTwin(^uint64(0))
	for i := range 5_000 {
		w.set(Entry{key(i), "v", w.now + int64(i)})
	}
	for _, later := range []int64{1, 10, 2_500, 10_000} {
		w.advance(1_000 + later)
		w.view()
	}
	w.check(t)
}

func TestAdoptRefusesAMapWithAnotherHash(t *testing.T) {
	require.Panics(t, func() { New().Adopt(New()) })
}

// Bounds go up only by Expire. An entry that was refreshed leaves a bound behind that is
// out of date: a call removes nothing, and corrects it.
func TestRefreshedEntriesAreNotRemoved(t *testing.T) {
	w := newTimedTwin(^uint64(0))
	for i := range 5_000 {
		w.set(Entry{key(i), "v", w.now + 10})
	}
	for i := range 5_000 {
		w.set(Entry{key(i), "v", w.now + 1_000})
	}
	require.Equal(t, w.now+10, w.m.NextDeadline())
	w.advance(w.now + 10)
	w.expireAll(t)
	require.Len(t, w.model, 5_000)
	require.Equal(t, int64(2_000), w.m.NextDeadline())
}

// A map whose entries have no deadline any more has the memory of one that never had.
func TestDeadlinesAreFreed(t *testing.T) {
	w := newTimedTwin(^uint64(0))
	for i := range 5_000 {
		w.set(Entry{key(i), "v", w.now + 10})
	}
	for i := range 5_000 {
		w.set(Entry{Key: key(i), Value: "v"})
	}
	w.advance(w.now + 10)
	w.expireAll(t)
	require.Zero(t, w.m.NextDeadline())
	require.Zero(t, w.m.Timed())
	walk(w.m.root, func(*branch) bool { return true }, func(l *leaf) { require.Nil(t, l.deadlines) })
}

// The bound of a chain is that of all its leaves.
func TestTheBoundOfAChain(t *testing.T) {
	w := newTimedTwin(0)
	for i := range 3 * leafSize {
		w.set(Entry{key(i), "v", w.now + 1_000 - int64(i)})
	}
	for i := range 3 * leafSize { // so that the last leaf of the chain has the first deadline, too
		w.set(Entry{key(i), "v", w.now + 100 + int64(i)})
		w.advance(w.now)
	}
	l := w.m.root.leafOf(0)
	require.NotNil(t, l.next)
	last := l
	for last.next != nil {
		last = last.next
	}
	for i := range last.entries {
		last.setDeadline(i, 50)
	}
	require.Equal(t, int64(50), l.bound())
}

// The owner never works in proportion to the entries that are over: one call removes at
// most a leaf's, among a thousand and among a million.
func TestExpireTakesConstantTime(t *testing.T) {
	for _, n := range []int{1_000, 200_000} {
		m := New()
		m.Advance(1)
		for i := range n {
			m.Replace(Entry{key(i), "v", 2})
		}
		m.Advance(2)
		_ = m.View()
		for m.IsDue() {
			_ = m.View()
			var removed int
			bytes := allocated(func() { removed = m.Expire() })
			require.LessOrEqual(t, removed, leafSize)
			require.LessOrEqual(t, bytes, 16<<10)
		}
		require.Zero(t, m.Len())
		check(t, m)
	}
}

// Beside entries that end, a view still costs Diff only the nodes that were written.
func TestDiffReadsNoBoundsBeforeTheyAreDue(t *testing.T) {
	m := New()
	m.Advance(1)
	for i := range 5_000 {
		m.Replace(Entry{key(i), "v", 100})
	}
	old := m.View()
	m.Replace(Entry{key(7), "w", 100})
	m.Advance(99)
	now := m.View()
	spoil := freeze(old)
	shared := freeze(now)
	for l := range spoil.leaves {
		if _, ok := shared.leaves[l]; ok {
			l.count, l.depth = leafSize+1, 0 // a walk over it panics
		}
	}
	require.Equal(t, []Change{{key(7), "v", "w", true, true, 100}}, slices.Collect(Diff(old, now)))
}

func BenchmarkExpire(b *testing.B) {
	const n = 1_000_000
	b.ReportAllocs()
	turns := 0
	for b.Loop() {
		b.StopTimer()
		m := New()
		m.Advance(1)
		for i := range n {
			m.Replace(Entry{key(i), "v", 2})
		}
		m.Advance(2)
		b.StartTimer()
		for m.IsDue() {
			m.Expire()
			turns++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(turns), "ns/turn")
	b.ReportMetric(float64(n*b.N)/float64(turns), "removed/turn")
}

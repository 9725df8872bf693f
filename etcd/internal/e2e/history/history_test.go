package history

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An event is a call with its times.
type event struct {
	call    Call
	begin   int64
	end     int64 // or forever
	unknown bool
}

func historyOf(events ...event) *History {
	h := New()
	for i, e := range events {
		if e.unknown {
			h.Unknown(i, e.begin, e.call)
		} else {
			h.add(done{e.call, i, e.begin, e.end, false})
		}
	}
	return h
}

func at(begin, end int64, c Call) event      { return event{c, begin, end, false} }
func unknownAt(begin int64, c Call) event    { return event{c, begin, 0, true} }
func check(h *History) porcupine.CheckResult { return h.Check(time.Minute) }

// update returns a call that has seen a pair and writes both keys.
func update(saw, values Pair) Call { return Call{0, true, saw, [2]bool{true, true}, values} }

// updateOne returns a call that has seen a pair and writes one key.
func updateOne(saw Pair, key int, value string) Call {
	c := Set(0, key, value)
	c.Reads, c.Saw = true, saw
	return c
}

func TestHistoriesThatAnOrderExplains(t *testing.T) {
	for name, events := range map[string][]event{
		"nothing":              {},
		"one after the other":  {at(0, 1, Set(0, 0, "a")), at(2, 3, Read(0, Pair{"a"})), at(4, 5, Delete(0, 0)), at(6, 7, Read(0, Pair{}))},
		"two orders at once":   {at(0, 9, Set(0, 0, "a")), at(0, 9, Set(0, 0, "b")), at(10, 11, Read(0, Pair{"a"}))},
		"groups are apart":     {at(0, 1, Set(0, 0, "a")), at(2, 3, Read(1, Pair{}))},
		"an update":            {at(0, 1, Set(0, 0, "a")), at(2, 3, update(Pair{"a"}, Pair{"b", "c"})), at(4, 5, Read(0, Pair{"b", "c"}))},
		"unknown, never":       {unknownAt(0, Set(0, 0, "a")), at(1, 2, Read(0, Pair{}))},
		"unknown, at once":     {unknownAt(0, Set(0, 0, "a")), at(1, 2, Read(0, Pair{"a"}))},
		"unknown, late":        {unknownAt(0, Set(0, 0, "a")), at(1, 2, Set(0, 0, "b")), at(3, 4, Read(0, Pair{"b"})), at(5, 6, Read(0, Pair{"a"}))},
		"unknown delete, late": {at(0, 1, Set(0, 0, "a")), unknownAt(2, Delete(0, 0)), at(3, 4, Read(0, Pair{"a"})), at(5, 6, Read(0, Pair{}))},
		"unknown update of a value that was not there": {unknownAt(0, update(Pair{"x"}, Pair{"y", "z"})), at(1, 2, Read(0, Pair{}))},
		"unknown update of an unknown set": {
			unknownAt(0, Set(0, 0, "a")), unknownAt(1, update(Pair{"a"}, Pair{"b", "c"})), at(2, 3, Read(0, Pair{"b", "c"})),
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, porcupine.Ok, check(historyOf(events...))) })
	}
}

// The check finds the faults that it looks for.
func TestHistoriesThatNoOrderExplains(t *testing.T) {
	for name, events := range map[string][]event{
		"a lost write":            {at(0, 1, Set(0, 0, "a")), at(2, 3, Read(0, Pair{}))},
		"a stale read":            {at(0, 1, Set(0, 0, "a")), at(2, 3, Set(0, 0, "b")), at(4, 5, Read(0, Pair{"a"}))},
		"a read from nowhere":     {at(0, 1, Read(0, Pair{"a"}))},
		"a refused write is seen": {at(0, 1, Set(0, 0, "a")), at(4, 5, Read(0, Pair{"refused"}))},
		"a lost delete":           {at(0, 1, Set(0, 0, "a")), at(2, 3, Delete(0, 0)), at(4, 5, Read(0, Pair{"a"}))},
		"back and forth":          {at(0, 9, Set(0, 0, "a")), at(0, 9, Set(0, 0, "b")), at(10, 11, Read(0, Pair{"a"})), at(12, 13, Read(0, Pair{"b"}))},
		"a lost update":           {at(0, 1, Set(0, 0, "a")), at(2, 9, updateOne(Pair{"a"}, 0, "b")), at(2, 9, updateOne(Pair{"a"}, 0, "c"))},
		"write skew":              {at(0, 9, updateOne(Pair{}, 0, "a")), at(0, 9, updateOne(Pair{}, 1, "b"))},
		"a torn update":           {at(0, 1, update(Pair{}, Pair{"a", "b"})), at(2, 3, Read(0, Pair{"a"}))},
		"a write that comes again": {
			at(0, 1, Set(0, 0, "a")), at(2, 3, Set(0, 0, "b")), at(4, 5, Read(0, Pair{"b"})), at(6, 7, Read(0, Pair{"a"})),
		},
		"unknown, before its begin": {at(0, 1, Read(0, Pair{"a"})), unknownAt(2, Set(0, 0, "a"))},
		"unknown, seen and lost":    {unknownAt(0, Set(0, 0, "a")), at(1, 2, Read(0, Pair{"a"})), at(3, 4, Read(0, Pair{}))},
		"unknown, twice": {
			unknownAt(0, Set(0, 0, "a")), at(1, 2, Read(0, Pair{"a"})), at(3, 4, Set(0, 0, "b")), at(5, 6, Read(0, Pair{"a"})),
		},
		"unknown update of a value that was not there, seen": {unknownAt(0, update(Pair{"x"}, Pair{"y", "z"})), at(1, 2, Read(0, Pair{"y", "z"}))},
		"half an unknown update":                             {unknownAt(0, update(Pair{}, Pair{"y", "z"})), at(1, 2, Read(0, Pair{"y"}))},
		"one fault in another group":                         {at(0, 1, Set(0, 0, "a")), at(2, 3, Read(0, Pair{"a"})), at(2, 3, Read(7, Pair{"a"}))},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, porcupine.Illegal, check(historyOf(events...))) })
	}
}

// Leaving out unknown calls is needed: with them, a search takes time in proportion to the
// number of their subsets.
func TestManyUnknownCallsAreCheckedInTime(t *testing.T) {
	h := New()
	for i := range 100 {
		h.Unknown(i, int64(i), Set(0, i%2, fmt.Sprint("unknown", i)))
	}
	for i := range 5000 {
		h.add(done{Set(0, 0, fmt.Sprint(i)), 1000, int64(200 + 4*i), int64(201 + 4*i), false})
		h.add(done{Read(0, Pair{fmt.Sprint(i), ""}), 1000, int64(202 + 4*i), int64(203 + 4*i), false})
	}
	require.Equal(t, porcupine.Ok, h.Check(10*time.Second))
}

func TestRecordingTakesTheTimes(t *testing.T) {
	h := New()
	called := h.Now()
	h.Acknowledged(0, called, Set(0, 0, "a"))
	h.Acknowledged(0, h.Now(), Read(0, Pair{"a"}))
	require.Equal(t, porcupine.Ok, check(h))
	h.Acknowledged(0, h.Now(), Read(0, Pair{}))
	require.Equal(t, porcupine.Illegal, check(h))
	require.Equal(t, 3, h.Len())
}

func TestRefusedCallThatWasSeenIsNamed(t *testing.T) {
	h := historyOf(at(0, 1, Set(0, 0, "a")), at(2, 3, Read(0, Pair{"b"})))
	h.Refused(Set(0, 0, "c"))
	require.Empty(t, h.RefusedAndSeen())
	h.Refused(Set(0, 0, "b"))
	require.Equal(t, []Call{Set(0, 0, "b")}, h.RefusedAndSeen())
	require.Equal(t, porcupine.Illegal, check(h))
}

func TestUnknownCallThatReadsAndDeletesIsNotSupported(t *testing.T) {
	require.Panics(t, func() { New().Unknown(0, 0, update(Pair{}, Pair{"a", ""})) })
}

func TestDrawShowsTheGroupAtFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.html")
	sound := historyOf(at(0, 1, Set(0, 0, "a")))
	require.NoError(t, sound.Draw(path, time.Minute))
	require.NoFileExists(t, path)
	faulty := historyOf(at(0, 1, Set(1, 0, "a sound one")), at(0, 1, Set(0, 0, "a lost one")), at(2, 3, Read(0, Pair{})))
	require.NoError(t, faulty.Draw(path, time.Minute))
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(page), "a lost one")
	require.NotContains(t, string(page), "a sound one")
}

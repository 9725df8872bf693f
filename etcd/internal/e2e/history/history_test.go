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
func update(saw, values Pair) Call { return Call{0, true, saw, [2]bool{true, true}, values, 0} }

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

// lasting returns the call that sets key 0 for 10.
func lasting(value string) Call { return SetFor(0, 0, value, 10) }

func TestEndsThatAnOrderExplains(t *testing.T) {
	for name, events := range map[string][]event{
		"an end in time":                {at(0, 1, lasting("a")), at(9, 10, Read(0, Pair{}))},
		"an end at the last moment":     {at(0, 1, lasting("a")), at(8, 9, Read(0, Pair{"a"})), at(8, 10, Read(0, Pair{}))},
		"an end that comes late":        {at(0, 1, lasting("a")), at(90, 91, Read(0, Pair{"a"})), at(92, 93, Read(0, Pair{}))},
		"an end that never comes":       {at(0, 1, lasting("a")), at(90, 91, Read(0, Pair{"a"}))},
		"one of two ends":               {at(0, 1, lasting("a")), at(0, 1, SetFor(0, 1, "b", 10)), at(20, 21, Read(0, Pair{"", "b"}))},
		"both ends":                     {at(0, 1, lasting("a")), at(2, 3, SetFor(0, 1, "b", 10)), at(20, 21, Read(0, Pair{}))},
		"a set that took it off":        {at(0, 1, lasting("a")), at(2, 3, Set(0, 0, "b")), at(90, 91, Read(0, Pair{"b"}))},
		"an update that took it off":    {at(0, 1, lasting("a")), at(2, 3, updateOne(Pair{"a"}, 0, "b")), at(90, 91, Read(0, Pair{"b"}))},
		"a set after the end":           {at(0, 1, lasting("a")), at(20, 21, Read(0, Pair{})), at(22, 23, Set(0, 0, "b")), at(24, 25, Read(0, Pair{"b"}))},
		"an update that saw the end":    {at(0, 1, lasting("a")), at(20, 21, update(Pair{}, Pair{"b", "c"})), at(22, 23, Read(0, Pair{"b", "c"}))},
		"a new lease of the same key":   {at(0, 1, lasting("a")), at(8, 9, lasting("b")), at(11, 12, Read(0, Pair{"b"})), at(17, 18, Read(0, Pair{}))},
		"unknown, never":                {unknownAt(0, lasting("a")), at(1, 2, Read(0, Pair{}))},
		"unknown, seen and ended":       {unknownAt(0, lasting("a")), at(1, 2, Read(0, Pair{"a"})), at(20, 21, Read(0, Pair{}))},
		"unknown, over another, ended":  {at(0, 1, Set(0, 0, "b")), unknownAt(2, lasting("a")), at(20, 21, Read(0, Pair{}))},
		"unknown, late, ended":          {unknownAt(0, lasting("a")), at(1, 2, Set(0, 0, "b")), at(3, 4, Read(0, Pair{"b"})), at(20, 21, Read(0, Pair{}))},
		"unknown set that took it off":  {at(0, 1, lasting("a")), unknownAt(2, Set(0, 0, "b")), at(90, 91, Read(0, Pair{"b"}))},
		"a read that began before":      {at(0, 1, lasting("a")), at(2, 30, Read(0, Pair{})), at(3, 4, Read(0, Pair{"a"}))},
		"an unknown set after the end":  {at(0, 1, lasting("a")), unknownAt(2, Set(0, 1, "b")), at(5, 30, Read(0, Pair{"", "b"})), at(6, 7, Read(0, Pair{"a"}))},
		"a delete before the end":       {at(0, 1, lasting("a")), at(2, 3, Delete(0, 0)), at(4, 5, Read(0, Pair{}))},
		"an end, then an earlier write": {at(0, 1, lasting("a")), at(2, 30, Set(0, 1, "b")), at(20, 21, Read(0, Pair{})), at(31, 32, Read(0, Pair{"", "b"}))},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, porcupine.Ok, check(historyOf(events...))) })
	}
}

func TestEndsThatNoOrderExplains(t *testing.T) {
	for name, events := range map[string][]event{
		"an end too early":                  {at(0, 1, lasting("a")), at(8, 9, Read(0, Pair{}))},
		"an end before a late grant":        {at(5, 12, lasting("a")), at(13, 14, Read(0, Pair{}))},
		"an end after a set":                {at(0, 1, lasting("a")), at(2, 3, Set(0, 0, "b")), at(90, 91, Read(0, Pair{}))},
		"an end after an update":            {at(0, 1, lasting("a")), at(2, 3, updateOne(Pair{"a"}, 0, "b")), at(90, 91, Read(0, Pair{}))},
		"an end by the lease before":        {at(0, 1, lasting("a")), at(8, 9, lasting("b")), at(11, 12, Read(0, Pair{}))},
		"an end of the other key":           {at(0, 1, lasting("a")), at(2, 3, Set(0, 1, "b")), at(90, 91, Read(0, Pair{"a", ""}))},
		"an entry that came back":           {at(0, 1, lasting("a")), at(20, 21, Read(0, Pair{})), at(22, 23, Read(0, Pair{"a"}))},
		"an update that missed the end":     {at(0, 1, lasting("a")), at(20, 21, Read(0, Pair{})), at(22, 23, updateOne(Pair{"a"}, 0, "b"))},
		"an end of what never ends":         {at(0, 1, Set(0, 0, "a")), at(90, 91, Read(0, Pair{}))},
		"unknown, ended too early":          {at(0, 1, Set(0, 0, "b")), unknownAt(2, lasting("a")), at(10, 11, Read(0, Pair{}))},
		"unknown set, ended after it":       {at(0, 1, lasting("a")), unknownAt(2, Set(0, 0, "b")), at(3, 4, Read(0, Pair{"b"})), at(90, 91, Read(0, Pair{}))},
		"early, with an unknown set":        {at(0, 1, lasting("a")), unknownAt(2, Set(0, 1, "b")), at(5, 6, Read(0, Pair{"", "b"}))},
		"early, with a long call before it": {at(0, 1, lasting("a")), at(2, 30, Set(0, 1, "b")), at(5, 6, Read(0, Pair{"", "b"}))},
		"early, one of two ends": {
			at(0, 1, SetFor(0, 1, "b", 10)), at(2, 3, SetFor(0, 0, "a", 50)), at(20, 21, Read(0, Pair{})),
		},
		"early, by the read of another end": {
			at(0, 1, lasting("a")), at(2, 3, SetFor(0, 1, "b", 50)), at(4, 80, Read(0, Pair{})), at(20, 21, Read(0, Pair{"a", ""})),
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, porcupine.Illegal, check(historyOf(events...))) })
	}
}

// Unknown calls whose values may have ended are never left out, so the search must find their
// places: here each is seen long after its call, and then its end.
func TestUnknownEndsAreCheckedInTime(t *testing.T) {
	h := New()
	for i := range 20 {
		h.Unknown(i, int64(i), SetFor(0, i%2, fmt.Sprint("unseen", i), 10))
	}
	for i := range 4 {
		h.Unknown(i, int64(50+i), SetFor(0, 1, fmt.Sprint("late", i), 10))
	}
	saw := ""
	for i := range 1000 {
		if i%100 == 50 && i < 800 {
			saw = fmt.Sprint("late", i/200)
			if i%200 == 150 {
				saw = ""
			}
		}
		h.add(done{Set(0, 0, fmt.Sprint(i)), 1000, int64(200 + 4*i), int64(201 + 4*i), false})
		h.add(done{Read(0, Pair{fmt.Sprint(i), saw}), 1000, int64(202 + 4*i), int64(203 + 4*i), false})
	}
	require.Equal(t, porcupine.Ok, h.Check(20*time.Second))
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

func TestUnknownCallThatReadsAndMayLeaveNoValueIsNotSupported(t *testing.T) {
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

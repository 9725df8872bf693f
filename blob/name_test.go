package blob

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// anyTime draws a time of the years that a name can hold.
func anyTime(t *rapid.T) time.Time {
	seconds := rapid.Int64Range(0, 253402300799).Draw(t, "seconds") // 1970 to 9999
	return time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
}

func TestNamesSortByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyTime(t), anyTime(t)
		require.Equal(t, a.Compare(b), strings.Compare(newName(a)[:len(timeLayout)], newName(b)[:len(timeLayout)]))
		got, ok := timeOf(newName(a))
		require.True(t, ok)
		require.Equal(t, a, got)
	})
}

func TestNamesDiffer(t *testing.T) {
	at, names := time.Now(), map[string]bool{}
	for range 10_000 {
		names[newName(at)] = true
	}
	require.Len(t, names, 10_000)
}

func TestSealsAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Copy{Name: "app/" + newName(anyTime(t)), Bytes: rapid.Int64Min(0).Draw(t, "bytes")}
		copy(want.SHA256[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sum"))
		seal := sealOf(want)
		require.Greater(t, seal, want.Name, "the seal comes behind its backup in a listing")
		got := Copy{Name: want.Name}
		require.True(t, parseSeal(strings.TrimPrefix(seal, want.Name), &got))
		require.Equal(t, want, got)
	})
}

func TestOtherNamesAreRefused(t *testing.T) {
	name := newName(time.Now())
	for _, other := range []string{
		"", "notes.txt", name[1:], name + "x", name + ".gz", strings.ToUpper(name),
		strings.Replace(name, "Z-", "Z_", 1), strings.Replace(name, ".json", ".jsom", 1),
		"20261328" + name[8:], "20260230" + name[8:], strings.Replace(name, ".", ",", 1),
		name[:len(name)-6] + "g.json",
	} {
		_, ok := timeOf(other)
		require.False(t, ok, other)
	}
	seal := strings.TrimPrefix(sealOf(Copy{Name: name, Bytes: 12}), name)
	require.True(t, parseSeal(seal, &Copy{Name: name}))
	for _, other := range []string{
		"", sealed, ".12" + sealed, seal[:len(seal)-1], seal + "x", strings.Replace(seal, ".12.", ".012.", 1),
		strings.Replace(seal, ".12.", ".-12.", 1), strings.Replace(seal, ".12.", ".+12.", 1), strings.Replace(seal, ".12.", ".99999999999999999999.", 1),
		strings.Replace(seal, ".12.", "12.", 1), strings.Replace(seal, ".12.0", ".12.g", 1), strings.Replace(seal, ".12.0", ".12.", 1),
		strings.Replace(seal, ".12.0", ".12.A", 1),
	} {
		require.False(t, parseSeal(other, &Copy{Name: name}), other)
	}
}

// A new copy sorts behind all that are there, also where its clock is behind.
func TestAClockThatGoesBack(t *testing.T) {
	now := time.Date(2026, 11, 28, 4, 14, 9, 123, time.UTC)
	var names []string
	l := &listing{}
	for _, clock := range []time.Duration{0, time.Second, time.Hour, -time.Hour, -1e6 * time.Hour, 0, time.Hour, 2 * time.Hour} {
		at := l.next(now.Add(clock))
		names = append(names, newName(at))
		l.copies = append(l.copies, sealedCopy{Copy: Copy{Time: at}})
	}
	require.True(t, slices.IsSorted(names), names)
	require.Len(t, slices.Compact(names), len(names))
	require.Equal(t, now.Add(2*time.Hour), l.copies[len(l.copies)-1].Time, "a clock that is right again counts")
}

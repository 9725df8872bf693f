//go:build unix

package crash_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// A generation is the number of a backup. Every process goes on from the
// generation that it has loaded. So no number is written twice, unless two
// processes own the path.

const (
	generationKey = "generation"

	// fillerKeys make a backup more than one write.
	fillerKeys = 400
)

var filler = strings.Repeat("x", 300)

// stamp writes generation n into every entry, as one step.
func stamp(store *genie.Store, n int) {
	_ = store.Update(func(tx *genie.Tx) error { // the only errors are those of the function
		tx.Set(generationKey, strconv.Itoa(n))
		for i := range fillerKeys {
			tx.Set(fmt.Sprint("filler ", i), fmt.Sprint(n, " ", filler))
		}
		return nil
	})
}

// generation returns the generation of the store, or 0 if the store is empty.
func generation(store *genie.Store) int {
	value, _ := store.Get(generationKey)
	n, _ := strconv.Atoi(value)
	return n
}

// whole returns the generation of the entries, or an error unless every entry is
// of that generation. Empty entries are of generation 0.
func whole(entries map[string]string) (int, error) {
	if len(entries) == 0 {
		return 0, nil
	}
	if len(entries) != fillerKeys+1 {
		return 0, fmt.Errorf("%d entries", len(entries))
	}
	n := entries[generationKey]
	for i := range fillerKeys {
		key := fmt.Sprint("filler ", i)
		if value := entries[key]; value != n+" "+filler {
			return 0, fmt.Errorf("generation %q has %s of %.10q", n, key, value)
		}
	}
	return strconv.Atoi(n)
}

// writeGeneration leaves a backup at path, and no owner.
func writeGeneration(t *testing.T, path string, n int) {
	t.Helper()
	store, err := genie.NewStore(genie.WithPath(path))
	require.NoError(t, err)
	stamp(store, n)
	require.NoError(t, store.Close())
}

// A sighting is a backup that a process has read, loaded or written between two
// instants, in nanoseconds.
type sighting struct {
	generation   int
	began, ended int64
}

// look reads the backup at path beside the owner.
func look(path string) (s sighting, err error) {
	s.began = time.Now().UnixNano()
	store, err := genie.NewStore(genie.WithPath(path), genie.WithReadOnly())
	if err != nil {
		return s, err
	}
	s.ended = time.Now().UnixNano()
	s.generation, err = whole(store.Snapshot())
	return s, err
}

// ordered returns an error if a sighting has a lower generation than one that had
// ended before.
func ordered(all []sighting) error {
	byEnd := slices.SortedFunc(slices.Values(all), func(a, b sighting) int { return cmp.Compare(a.ended, b.ended) })
	byBeginning := slices.SortedFunc(slices.Values(all), func(a, b sighting) int { return cmp.Compare(a.began, b.began) })
	newest := sighting{}
	for _, s := range byBeginning {
		for len(byEnd) > 0 && byEnd[0].ended < s.began {
			if byEnd[0].generation > newest.generation {
				newest = byEnd[0]
			}
			byEnd = byEnd[1:]
		}
		if s.generation < newest.generation {
			return fmt.Errorf("%v is older than %v", s, newest)
		}
	}
	return nil
}

// sightings returns the sightings in the lines of a child that begin with word:
// ACK, READ, or LOADED, which is of one instant.
func sightings(word string, lines []string) (all []sighting) {
	for _, line := range lines {
		n, ok := numbersAfter(word, line)
		if !ok || len(n) != 3 {
			continue
		}
		s := sighting{int(n[0]), n[1], n[2]}
		if word == "LOADED" {
			s.began = s.ended
		}
		all = append(all, s)
	}
	return all
}

// Negative controls of whole and ordered.
func TestFaultySightingsAreSeen(t *testing.T) {
	require.NoError(t, ordered([]sighting{{1, 0, 1}, {2, 2, 5}, {1, 4, 6}, {2, 7, 8}}))
	require.Error(t, ordered([]sighting{{2, 0, 1}, {1, 2, 3}}), "an old one after a new one")
	require.Error(t, ordered([]sighting{{3, 0, 1}, {0, 2, 3}, {3, 4, 5}}), "an empty one")

	entries := map[string]string{generationKey: "7"}
	for i := range fillerKeys {
		entries[fmt.Sprint("filler ", i)] = "7 " + filler
	}
	n, err := whole(entries)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	entries["filler 9"] = "6 " + filler
	_, err = whole(entries)
	require.ErrorContains(t, err, "filler 9", "two generations in one")
	delete(entries, "filler 9")
	_, err = whole(entries)
	require.ErrorContains(t, err, "400 entries", "half a backup")
}

package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(filepath.Join(t.TempDir(), "cities.json"), &out))
	require.Equal(t, "in Austria:\n  at/Graz\n  at/Linz\nfrom b to n:\n  ch/Bern\n", out.String())
}

// followed returns a store and an index that follows it until the test ends.
func followed(t *testing.T) (*genie.Store, *index) {
	t.Helper()
	store, err := genie.NewStore(genie.WithPath(filepath.Join(t.TempDir(), "store.json")))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	x, ended := newIndex(), make(chan struct{})
	go func() {
		defer close(ended)
		x.follow(ctx, store)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		require.NoError(t, store.Close())
	})
	<-x.ready
	return store, x
}

// While writers change both halves of pairs in Updates, every scan is of one instant,
// and in order; at the end the index has what the store has.
func TestScansAreOfOneInstant(t *testing.T) {
	store, x := followed(t)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := range 1_000 {
				key := fmt.Sprint(w, "-", n%50)
				_ = store.Update(func(tx *genie.Tx) error {
					if n%3 == 0 {
						tx.Delete("left/" + key)
						tx.Delete("right/" + key)
						return nil
					}
					tx.Set("left/"+key, fmt.Sprint(n))
					tx.Set("right/"+key, fmt.Sprint(n))
					return nil
				})
			}
		})
	}
	for range 300 {
		tree := x.now()
		keys := tree.Keys()
		require.True(t, slices.IsSorted(keys))
		for _, key := range keys {
			half, name, _ := strings.Cut(key, "/")
			other := map[string]string{"left": "right/", "right": "left/"}[half] + name
			value, _ := tree.Get(key)
			twin, exists := tree.Get(other)
			require.True(t, exists, "half an Update")
			require.Equal(t, value, twin)
		}
	}
	writers.Wait()
	store.Set("end", "")
	for {
		if _, ended := x.now().Get("end"); ended {
			break
		}
	}
	found := maps.Collect(x.between("", "~"))
	require.Equal(t, store.Snapshot(), found)
}

func TestPrefixesAndRanges(t *testing.T) {
	store, x := followed(t)
	for _, key := range []string{"a", "ab", "abc", "b", "ba"} {
		store.Set(key, key)
	}
	for len(maps.Collect(x.between("", "~"))) < 5 {
	}
	collect := func(seq func(func(string, string) bool)) (keys []string) {
		seq(func(key, _ string) bool { keys = append(keys, key); return true })
		return keys
	}
	require.Equal(t, []string{"ab", "abc"}, collect(x.withPrefix("ab")))
	require.Equal(t, []string{"abc", "b"}, collect(x.between("abc", "ba")))
	require.Empty(t, collect(x.withPrefix("c")))
	for key := range x.withPrefix("") {
		require.Equal(t, "a", key)
		break
	}
}

package peer_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
)

const entries = 300

// eachSystem runs a check on a fresh, populated store of every system.
func eachSystem(t *testing.T, check func(t *testing.T, store *peer.Store)) {
	for _, system := range peer.Systems() {
		t.Run(system.Name, func(t *testing.T) {
			t.Parallel()
			check(t, open(t, system, home(t)))
		})
	}
}

func home(t *testing.T) peer.Home {
	return peer.Home{Dir: t.TempDir(), Entries: entries}
}

func open(t *testing.T, system peer.System, home peer.Home) *peer.Store {
	t.Helper()
	store, err := system.Open(home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	store.Populate(measure.Pairs(entries, measure.Old))
	return store
}

func want(t *testing.T, store *peer.Store, key, value string, found bool) {
	t.Helper()
	if got, ok := store.Get(key); got != value || ok != found {
		t.Errorf("Get(%q) = %q, %t, want %q, %t", key, got, ok, value, found)
	}
}

func TestBasics(t *testing.T) {
	eachSystem(t, wantBasics)
}

func TestTypedActor(t *testing.T) {
	t.Run("basics", func(t *testing.T) { wantBasics(t, open(t, peer.TypedActor(), home(t))) })
	t.Run("increments", func(t *testing.T) { wantAtomicIncrements(t, open(t, peer.TypedActor(), home(t))) })
}

func wantBasics(t *testing.T, store *peer.Store) {
	want(t, store, "absent", "", false)
	want(t, store, measure.Key(7), measure.Value(7, measure.Old), true)
	store.Set(measure.Key(7), "changed")
	store.Set("one more", "")
	store.Delete(measure.Key(8))
	store.Delete("absent")
	store.AwaitWrites()
	want(t, store, measure.Key(7), "changed", true)
	want(t, store, "one more", "", true)
	want(t, store, measure.Key(8), "", false)
	if got := store.Len(); got != entries {
		t.Errorf("Len() = %d, want %d", got, entries)
	}
}

func TestReadMany(t *testing.T) {
	eachSystem(t, func(t *testing.T, store *peer.Store) {
		keys := []string{measure.Key(1), "absent", measure.Key(2)}
		values := make([]string, len(keys))
		store.ReadMany(keys, values)
		for i, want := range []string{measure.Value(1, measure.Old), "", measure.Value(2, measure.Old)} {
			if values[i] != want {
				t.Errorf("value of %q is %q, want %q", keys[i], values[i], want)
			}
		}
	})
}

func TestIncrementIsAtomic(t *testing.T) {
	eachSystem(t, func(t *testing.T, store *peer.Store) {
		if store.Increment == nil {
			t.Skip("has no atomic change")
		}
		wantAtomicIncrements(t, store)
	})
}

func wantAtomicIncrements(t *testing.T, store *peer.Store) {
	t.Helper()
	const callers, each = 8, 25
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				store.Increment("counter")
			}
		})
	}
	wg.Wait()
	want(t, store, "counter", fmt.Sprint(callers*each), true)
}

// TestBackup loads in a second folder: a store may lock the folder in which it
// was opened.
func TestBackup(t *testing.T) {
	for _, system := range peer.Systems() {
		t.Run(system.Name, func(t *testing.T) {
			t.Parallel()
			from, to := home(t), home(t)
			store := open(t, system, from)
			if err := store.Backup(); err != nil {
				t.Fatal(err)
			}
			copyBackup(t, from, to)
			wantAll(t, load(t, system, to))
		})
	}
}

func copyBackup(t *testing.T, from, to peer.Home) {
	t.Helper()
	info, err := os.Stat(from.Backup())
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(to.Backup(), os.DirFS(from.Backup()))
	} else {
		err = copyFile(to.Backup(), from.Backup())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}

func load(t *testing.T, system peer.System, home peer.Home) *peer.Store {
	t.Helper()
	store, err := system.Load(home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func wantAll(t *testing.T, store *peer.Store) {
	t.Helper()
	for key, value := range measure.Pairs(entries, measure.Old) {
		want(t, store, key, value, true)
	}
	if got := store.Len(); got != entries {
		t.Errorf("Len() = %d, want %d", got, entries)
	}
}

package main

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windevkay/forge/genie"
)

const (
	rounds  = 3
	callers = 4
	rest    = 100 * time.Microsecond // of a caller between two calls
)

// A contestant is a map that callers use while it is backed up.
type contestant struct {
	name   string
	call   func(key, value string)
	backup func() error
	worst  time.Duration   // the slowest call in all rounds
	took   []time.Duration // the backups
}

// pauses shows the slowest call during a backup: of the store, and of a map under a
// mutex.
func (t *tour) pauses(ctx context.Context) error {
	entries, err := t.entries()
	if err != nil {
		return err
	}
	store, err := t.storeWith(entries, "pause.json")
	if err != nil {
		return err
	}
	locked := &lockedMap{entries: entries, path: filepath.Join(filepath.Dir(t.path), "locked.json")}
	contestants := []*contestant{
		{name: "genie", call: func(k, v string) { store.Set(k, v); store.Get(k) }, backup: store.Backup},
		{name: "map, mutex, json.Marshal, fsync", call: locked.setAndGet, backup: locked.backup},
	}
	keys := slices.Collect(maps.Keys(entries))
	for range rounds { // in turns, so that both meet the same noise of the machine
		for _, c := range contestants {
			if err := c.measure(ctx, keys); err != nil {
				return err
			}
		}
	}
	t.say("The slowest Set and Get of %d goroutines, during %d backups of %d entries:", callers, rounds, len(entries))
	for _, c := range contestants {
		slices.Sort(c.took)
		t.say("  %-32s %10v  (a backup takes %v)", c.name, c.worst.Round(10*time.Microsecond),
			c.took[len(c.took)/2].Round(time.Millisecond))
	}
	return store.Close()
}

// entries returns the contents of the newest backup.
func (t *tour) entries() (map[string]string, error) {
	store, err := genie.NewStore(genie.WithPath(t.path), genie.WithReadOnly())
	if err != nil {
		return nil, err
	}
	return store.Snapshot(), nil
}

// storeWith returns a store of its own with the entries.
func (t *tour) storeWith(entries map[string]string, name string) (*genie.Store, error) {
	store, err := genie.NewStore(genie.WithPath(filepath.Join(filepath.Dir(t.path), name)))
	if err != nil {
		return nil, err
	}
	for key, value := range entries {
		store.Set(key, value)
	}
	return store, nil
}

// measure makes calls as long as a backup takes, and notes the slowest.
func (c *contestant) measure(ctx context.Context, keys []string) error {
	var done atomic.Bool
	var group sync.WaitGroup
	worst := make([]time.Duration, callers)
	for i := range worst {
		group.Go(func() {
			for n := i; !done.Load(); n += callers {
				began := time.Now()
				c.call(keys[n%len(keys)], strconv.Itoa(n))
				worst[i] = max(worst[i], time.Since(began))
				time.Sleep(rest)
			}
		})
	}
	began := time.Now()
	err := c.backup()
	c.took = append(c.took, time.Since(began))
	done.Store(true)
	group.Wait()
	c.worst = max(c.worst, slices.Max(worst))
	if err != nil {
		return err
	}
	return ctx.Err()
}

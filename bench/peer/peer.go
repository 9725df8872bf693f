// Package peer puts Genie and the stores a Go user would pick instead behind the
// same few functions. Each store is used through its public API.
package peer

import (
	"iter"
	"path/filepath"
	"strconv"
)

// A System is one way to keep strings in memory and a copy of them on disk.
type System struct {
	Name string

	// Bulk reports whether ReadMany sees one state of the whole store.
	Bulk Consistency
	// Snapshot is the state a backup holds, or empty without backups.
	Snapshot Consistency
	// Durable names the parts of a backup that are on disk when it has returned.
	Durable string

	Open func(Home) (*Store, error) // an empty store
	// Load opens a backup. It may return a store beside an error: some systems
	// keep the entries they read before they failed.
	Load func(Home) (*Store, error)
}

// Consistency tells whether a reader sees many entries at one instant.
type Consistency string

const (
	Instant Consistency = "one instant" // every entry as of one moment
	Moving  Consistency = "moving"      // later entries may be newer than earlier ones
	Absent  Consistency = ""            // no such operation
)

// Home is the folder of a store and the number of entries to expect in the store.
type Home struct {
	Dir     string
	Entries int
}

// Backup returns the path that a backup writes: a file or, for some systems, a
// folder.
func (h Home) Backup() string { return filepath.Join(h.Dir, "backup") }

// Live returns the path of the file of a store that always works on disk.
func (h Home) Live() string { return filepath.Join(h.Dir, "live") }

// A Store is an open system. A struct of funcs can leave out what an interface
// cannot: an operation the system does not have is a nil field, and shows as a
// dash.
type Store struct {
	Set    func(key, value string)
	Get    func(key string) (string, bool)
	Delete func(key string)
	Len    func() int
	Close  func() error

	// ReadMany puts the value of keys[i] into values[i].
	ReadMany func(keys, values []string)

	// Increment adds one to a decimal counter; an absent counter is zero.
	Increment func(key string)
	// Update is Increment by a function that reads and writes, or nil.
	Update func(key string)

	// Drain waits until every earlier Set is visible, or is nil if Set itself
	// waits. The clock of a measurement stops when Drain has returned.
	Drain func()

	// Fill loads many entries by the fastest way the system offers, or is nil if
	// a Set for each entry is the fastest.
	Fill func(iter.Seq2[string, string])

	Backup func() error
}

// Populate fills the store with pairs and returns when the pairs are visible.
func (s *Store) Populate(pairs iter.Seq2[string, string]) {
	if s.Fill != nil {
		s.Fill(pairs)
		return
	}
	for key, value := range pairs {
		s.Set(key, value)
	}
	s.AwaitWrites()
}

// AwaitWrites returns when every earlier Set is visible.
func (s *Store) AwaitWrites() {
	if s.Drain != nil {
		s.Drain()
	}
}

// readEach is the bulk read of a system without one: a Get per key, with no
// promise that all of them see one state.
func readEach(get func(string) (string, bool)) func(keys, values []string) {
	return func(keys, values []string) {
		for i, key := range keys {
			values[i], _ = get(key)
		}
	}
}

// plusOne is the work of every atomic increment. The counters are text, like all
// values of a store of strings.
func plusOne(text string) string {
	n, _ := strconv.Atoi(text) // an absent counter is the empty string and counts as zero
	return strconv.Itoa(n + 1)
}

// must ends the process with an error that no operation returns in a healthy
// run. The harness reports the end as a failed row.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Package peer holds Genie and the stores a Go user would pick instead of it,
// each behind the same few functions and each used through its public API.
package peer

import (
	"iter"
	"path/filepath"
)

// A System is one way to keep strings in memory and a copy of them on disk.
type System struct {
	Name string

	// Bulk reports whether ReadMany sees one state of the whole store.
	Bulk Consistency
	// Snapshot is the state a backup holds; empty if there is no backup.
	Snapshot Consistency
	// Durable says what is known to be on disk when a backup has returned.
	Durable string

	Open func(Home) (*Store, error) // an empty store
	// Load opens what a backup left behind. It may return a store beside an
	// error: some systems keep what they read before they failed.
	Load func(Home) (*Store, error)
}

// Consistency tells whether many entries are seen at one instant.
type Consistency string

const (
	Instant Consistency = "one instant" // every entry as of the same moment
	Moving  Consistency = "moving"      // later entries may be newer than earlier ones
	Absent  Consistency = ""            // no such operation
)

// Home is the folder a store works in and the number of entries to expect there.
type Home struct {
	Dir     string
	Entries int
}

// Backup is the file, or for some systems the folder, that a backup writes.
func (h Home) Backup() string { return filepath.Join(h.Dir, "backup") }

// Live is where a store that always works on disk keeps its own file.
func (h Home) Live() string { return filepath.Join(h.Dir, "live") }

// A Store is an open system. It is a struct of funcs, not an interface, so that
// an operation a system does not have is a nil field and its cell a dash.
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

	// Settle waits for every earlier Set. It is nil where Set itself waits; the
	// others are timed until Settle returns.
	Settle func()

	// Fill loads many entries by the fastest way the system offers. It is nil
	// where that is a Set for each of them.
	Fill func(iter.Seq2[string, string])

	Backup func() error
}

// Populate fills the store with pairs and returns once they are visible.
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

// AwaitWrites returns once every earlier Set is visible.
func (s *Store) AwaitWrites() {
	if s.Settle != nil {
		s.Settle()
	}
}

// must turns an error that no measured operation can return in a healthy run
// into the end of the process, which the harness reports as a failed row.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

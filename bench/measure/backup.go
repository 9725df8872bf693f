package measure

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/windevkay/forge/genie/bench/peer"
)

// The columns of the backup tables that the charts look up.
const (
	SlowestRead  = "slowest read"
	SlowestWrite = "slowest write"
)

// BackupAlone, BackupPaced and BackupBusy are the tables of one backup size.
func BackupAlone(entries int) string {
	return "backup of " + Count(entries) + " entries, nothing else running"
}

func BackupPaced(entries int) string {
	return "backup of " + Count(entries) + " entries, four readers and four writers at an easy pace"
}

func BackupBusy(entries int) string {
	return "backup of " + Count(entries) + " entries, four readers and four writers without pause"
}

// Count writes a number of entries the way the tables do.
func Count(entries int) string {
	switch {
	case entries >= 1e6 && entries%1e5 == 0:
		return fmt.Sprintf("%g M", float64(entries)/1e6)
	case entries >= 1e3 && entries%1e3 == 0:
		return fmt.Sprintf("%d k", entries/1e3)
	}
	return fmt.Sprint(entries)
}

// backup measures three backups of the same entries: alone, for its time and
// memory; among callers that pause between calls, for the slowest of these; and
// among callers that do not, for how much they still get done.
func backup(b bench) (Finding, error) {
	empty := settledMemory()
	store, err := b.system.Open(b.home)
	if err != nil {
		return Finding{}, err
	}
	store.Populate(Pairs(b.Entries, Old))
	readAll(store, b.Entries)
	var f Finding
	f.addMemory(Sample{
		Table: "memory", Column: "per entry, at " + Count(b.Entries), Unit: Bytes,
		Value: (settledMemory() - empty) / float64(b.Entries),
	})
	for _, part := range []func(*Finding, *peer.Store) error{b.alone, b.paced, b.busy} {
		if err := part(&f, store); err != nil {
			return f, err
		}
	}
	return f, nil // without Close, which for some systems saves once more
}

func (b bench) alone(f *Finding, store *peer.Store) error {
	before := settledMemory()
	resetPeak()
	took, err := timed(store.Backup)
	if err != nil {
		return err
	}
	table := BackupAlone(b.Entries)
	f.add(Sample{table, "time", Seconds, took.Seconds()})
	f.addMemory(Sample{table, "extra memory", Bytes, max(0, peakMemory()-before)})
	return nil
}

func (b bench) paced(f *Finding, store *peer.Store) error {
	crew := b.crew(store, 4, 200*time.Microsecond)
	idle := crew.during(b.nothing)
	busy := crew.during(store.Backup)
	if busy.err != nil {
		return busy.err
	}
	table := BackupPaced(b.Entries)
	f.add(
		Sample{table, SlowestRead, Seconds, busy.reads.max.Seconds()},
		Sample{table, SlowestWrite, Seconds, busy.writes.max.Seconds()},
		Sample{table, "p99.9 read", Seconds, busy.reads.quantile(0.999).Seconds()},
		Sample{table, "p99.9 write", Seconds, busy.writes.quantile(0.999).Seconds()},
		Sample{table, "slowest read, no backup", Seconds, idle.reads.max.Seconds()},
		Sample{table, "slowest write, no backup", Seconds, idle.writes.max.Seconds()},
	)
	return nil
}

func (b bench) busy(f *Finding, store *peer.Store) error {
	crew := b.crew(store, 4, 0)
	idle := crew.during(b.nothing)
	busy := crew.during(store.Backup)
	if busy.err != nil {
		return busy.err
	}
	table := BackupBusy(b.Entries)
	f.add(
		Sample{table, "time", Seconds, busy.took.Seconds()},
		Sample{table, "calls per second", PerSecond, busy.perSecond()},
		Sample{table, "calls, of those without a backup", Share, busy.perSecond() / idle.perSecond()},
		Sample{table, SlowestRead, Seconds, busy.reads.max.Seconds()},
		Sample{table, SlowestWrite, Seconds, busy.writes.max.Seconds()},
		Sample{table, "slowest read, no backup", Seconds, idle.reads.max.Seconds()},
		Sample{table, "slowest write, no backup", Seconds, idle.writes.max.Seconds()},
	)
	return nil
}

// readAll brings into memory what a system that maps a file has left on disk.
func readAll(store *peer.Store, entries int) {
	keys, values := make([]string, bulkSize), make([]string, bulkSize)
	for i := range entries {
		keys[i%bulkSize] = Key(i)
		if i%bulkSize == bulkSize-1 {
			store.ReadMany(keys, values)
		}
	}
}

// nothing is the event to compare a backup with. It lasts about as long as one.
func (b bench) nothing() error {
	time.Sleep(2 * b.Window)
	return nil
}

// timed runs f and says how long it took.
func timed(f func() error) (time.Duration, error) {
	begin := time.Now()
	err := f()
	return time.Since(begin), err
}

// settledMemory is the resident memory once everything that can be given back
// has been.
func settledMemory() float64 {
	debug.FreeOSMemory()
	return residentMemory()
}

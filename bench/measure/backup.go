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

// Count returns a number of entries in the words of the tables.
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
// memory; among callers that pause between calls, for their slowest calls; and
// among callers without a pause, for the number of calls they complete.
func backup(b bench) (Finding, error) {
	empty := memoryAfterCollection()
	store, err := b.open()
	if err != nil {
		return Finding{}, err
	}
	readAll(store, b.Entries)
	var f Finding
	f.addMemory(Sample{
		Table: "memory", Column: "per entry, at " + Count(b.Entries), Unit: Bytes,
		Value: (memoryAfterCollection() - empty) / float64(b.Entries),
	})
	for _, part := range []func(*Finding, *peer.Store) error{b.alone, b.paced, b.busy} {
		if err := part(&f, store); err != nil {
			return f, err
		}
	}
	return f, nil // without Close, which in some systems saves once more
}

func (b bench) alone(f *Finding, store *peer.Store) error {
	before := memoryAfterCollection()
	resetPeak()
	took, err := Timed(store.Backup)
	if err != nil {
		return err
	}
	table := BackupAlone(b.Entries)
	f.add(Sample{table, "time", Seconds, took.Seconds()})
	f.addMemory(Sample{table, "extra memory", Bytes, max(0, peakMemory()-before)})
	return nil
}

func (b bench) paced(f *Finding, store *peer.Store) error {
	idle, during, err := b.compare(store, 200*time.Microsecond)
	if err != nil {
		return err
	}
	table := BackupPaced(b.Entries)
	f.addSlowest(table, "", during)
	f.add(
		Sample{table, "p99.9 read", Seconds, during.reads.quantile(0.999).Seconds()},
		Sample{table, "p99.9 write", Seconds, during.writes.quantile(0.999).Seconds()},
	)
	f.addSlowest(table, ", no backup", idle)
	return nil
}

func (b bench) busy(f *Finding, store *peer.Store) error {
	idle, during, err := b.compare(store, 0)
	if err != nil {
		return err
	}
	table := BackupBusy(b.Entries)
	f.add(
		Sample{table, "time", Seconds, during.took.Seconds()},
		Sample{table, "calls per second", PerSecond, during.PerSecond()},
		Sample{table, "calls, of those without a backup", Share, during.PerSecond() / idle.PerSecond()},
	)
	f.addSlowest(table, "", during)
	f.addSlowest(table, ", no backup", idle)
	return nil
}

func (f *Finding) addSlowest(table, suffix string, c Calls) {
	f.add(
		Sample{table, SlowestRead + suffix, Seconds, c.reads.max.Seconds()},
		Sample{table, SlowestWrite + suffix, Seconds, c.writes.max.Seconds()},
	)
}

// compare returns the calls of four readers and four writers without a backup
// and during one.
func (b bench) compare(store *peer.Store, pause time.Duration) (idle, during Calls, err error) {
	keys := Keys(b.Entries)
	crew := Crew{Read: ReadOp(store, keys), Write: WriteOp(store, keys), Size: 4, Pause: pause, CallsPerYield: 16}
	if idle, err = crew.During(b.noBackup); err != nil {
		return idle, during, err
	}
	during, err = crew.During(store.Backup)
	return idle, during, err
}

// noBackup lasts about as long as a backup.
func (b bench) noBackup() error {
	time.Sleep(2 * b.Window)
	return nil
}

// load measures the cost of a restart. Another process wrote the file, so
// nothing of the backup is on the heap of this process. The file is in the page
// cache.
func load(b bench) (Finding, error) {
	before := memoryAfterCollection()
	resetPeak()
	var found int
	took, err := Timed(func() error {
		store, err := b.system.Load(b.home)
		if err == nil {
			found = store.Len()
		}
		return err
	})
	if err != nil {
		return Finding{}, err
	}
	var f Finding
	table := "load of " + Count(b.Entries) + " entries"
	f.add(
		Sample{table, "time", Seconds, took.Seconds()},
		Sample{table, "entries found", Share, float64(found) / float64(b.Entries)},
	)
	f.addMemory(Sample{table, "peak memory", Bytes, peakMemory() - before})
	return f, nil
}

// readAll brings the pages of a mapped file into memory.
func readAll(store *peer.Store, entries int) {
	keys, values := make([]string, bulkSize), make([]string, bulkSize)
	for i := range entries {
		keys[i%bulkSize] = Key(i)
		if i%bulkSize == bulkSize-1 {
			store.ReadMany(keys, values)
		}
	}
}

// memoryAfterCollection returns the resident memory once the runtime has given
// back all it can.
func memoryAfterCollection() float64 {
	debug.FreeOSMemory()
	return residentMemory()
}

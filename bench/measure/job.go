package measure

import (
	"fmt"
	"time"

	"github.com/windevkay/forge/genie/bench/peer"
)

// A Job is the work of one process: one task on one system.
type Job struct {
	System  string        `json:"system"`
	Task    Task          `json:"task"`
	Dir     string        `json:"dir"`
	Entries int           `json:"entries"`
	Window  time.Duration `json:"window"` // how long each rate is measured
	Limit   time.Duration `json:"limit"`  // after which the process is killed
}

// A Task names a kind of measurement.
type Task string

const (
	Reads           Task = "reads"
	Writes          Task = "writes"
	Mixed           Task = "mixed"
	Bulk            Task = "bulk"
	Increments      Task = "increments"
	BesideComputing Task = "computing"
	Backup          Task = "backup"
	Load            Task = "load" // of the backup that Backup left in the same folder

	// The tasks of a fault: the first process saves twice, with a fault in
	// between; the second process looks at the remains.
	SaveOnce    Task = "save once"
	SaveFull    Task = "save, full disk"
	SaveLimited Task = "save, limited file size"
	Inspect     Task = "inspect"
)

// Run carries out the job in this process.
func Run(job Job) (Finding, error) {
	system, ok := peer.ByName(job.System)
	if !ok {
		return Finding{}, fmt.Errorf("no system is named %q", job.System)
	}
	task, ok := tasks[job.Task]
	if !ok {
		return Finding{}, fmt.Errorf("no task is named %q", job.Task)
	}
	return task(bench{job, system, peer.Home{Dir: job.Dir, Entries: job.Entries}})
}

// A bench is a job with its system and its folder.
type bench struct {
	Job
	system peer.System
	home   peer.Home
}

// open returns a store that holds the old version of the entries.
func (b bench) open() (*peer.Store, error) {
	store, err := b.system.Open(b.home)
	if err != nil {
		return nil, err
	}
	store.Populate(Pairs(b.Entries, Old))
	return store, nil
}

var tasks = map[Task]func(bench) (Finding, error){
	Reads:           throughput(ReadTable, oneEntry(ReadOp), singleCallers),
	Writes:          throughput(WriteTable, oneEntry(WriteOp), singleCallers),
	Mixed:           throughput(MixedTable, oneEntry(mixedOp), singleCallers),
	Bulk:            throughput(BulkTable, bulkOp, fewCallers),
	Increments:      throughput(IncrementTable, oneEntry(IncrementOp), singleCallers),
	BesideComputing: besideComputing,
	Backup:          backup,
	Load:            load,
	SaveOnce:        saveOnce,
	SaveFull:        saveFull,
	SaveLimited:     saveLimited,
	Inspect:         inspect,
}

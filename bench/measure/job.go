package measure

import (
	"fmt"
	"time"

	"github.com/windevkay/forge/genie/bench/peer"
)

// A Job is what one process measures: one system, one task.
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
	Reads      Task = "reads"
	Writes     Task = "writes"
	Mixed      Task = "mixed"
	Bulk       Task = "bulk"
	Increments Task = "increments"
	Backup     Task = "backup"
	Load       Task = "load" // of what Backup left in the same folder

	// The tasks of a fault: one process saves twice with a fault in between,
	// the next one looks at what is left.
	SaveOnce    Task = "save once"
	SaveFull    Task = "save, full disk"
	SaveLimited Task = "save, limited file size"
	Inspect     Task = "inspect"
)

// A Finding is the outcome of a Job.
type Finding struct {
	Samples  []Sample  `json:"samples,omitempty"`
	Contents *Contents `json:"contents,omitempty"`
	Note     string    `json:"note,omitempty"` // of a fault: what the save answered
}

func (f *Finding) add(samples ...Sample) { f.Samples = append(f.Samples, samples...) }

// addMemory leaves the cell empty where memory cannot be observed.
func (f *Finding) addMemory(s Sample) {
	if memoryIsKnown {
		f.add(s)
	}
}

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

// A bench is a job with what it needs at hand.
type bench struct {
	Job
	system peer.System
	home   peer.Home
}

var tasks = map[Task]func(bench) (Finding, error){
	Reads:       throughput(ReadTable, readOp, singleCallers),
	Writes:      throughput(WriteTable, writeOp, singleCallers),
	Mixed:       throughput(MixedTable, mixedOp, singleCallers),
	Bulk:        throughput(BulkTable, bulkOp, fewCallers),
	Increments:  throughput(IncrementTable, incrementOp, singleCallers),
	Backup:      backup,
	Load:        load,
	SaveOnce:    saveOnce,
	SaveFull:    saveFull,
	SaveLimited: saveLimited,
	Inspect:     inspect,
}

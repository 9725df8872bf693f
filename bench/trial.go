package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
)

// A trial is one system at one task in one repeat.
type trial struct {
	system  string
	task    measure.Task
	entries int
	repeat  int
}

func (t trial) String() string { return t.kind() + " · " + t.system }

// kind groups the trials of about the same duration.
func (t trial) kind() string {
	return fmt.Sprintf("%s, %s entries", t.task, measure.Count(t.entries))
}

// guess returns roughly how long a trial takes on a small machine.
func (t trial) guess(window time.Duration) time.Duration {
	const (
		perRate  = 5                     // windows, with the warm-up, for each number of callers
		perEntry = 15 * time.Microsecond // filled, saved three times and loaded
	)
	switch t.task {
	case measure.Backup:
		return time.Duration(t.entries) * perEntry
	case measure.BesideComputing: // reads and writes
		return 2*measure.ComputingWindows*perRate*window + time.Second
	}
	return perRate*window + time.Second/2
}

// trials plans a run: each repeat takes task after task, and each task takes all
// systems in a new order. A drift of the machine meets all systems alike.
func trials(s settings) []trial {
	const seed = 5 // any fixed number: two runs go through one order
	random := rand.New(rand.NewPCG(seed, seed))
	systems := s.systems()
	var plan []trial
	for repeat := range s.repeats {
		for _, stage := range stages(s) {
			for _, i := range random.Perm(len(systems)) {
				stage.system, stage.repeat = systems[i].Name, repeat
				plan = append(plan, stage)
			}
		}
	}
	return plan
}

// stages returns the trials of one repeat, without the system.
func stages(s settings) []trial {
	var list []trial
	for _, task := range allTasks {
		if task == faults || !s.wants(task) {
			continue
		}
		sizes := []int{s.entries}
		if task == string(measure.Backup) {
			sizes = s.sizes
		}
		for _, n := range sizes {
			list = append(list, trial{task: measure.Task(task), entries: n})
		}
	}
	return list
}

// run measures a trial in a folder of its own, removed afterwards.
func (t trial) run(ctx context.Context, s settings) ([]measure.Sample, error) {
	dir, err := os.MkdirTemp(s.work, "genie-bench-*")
	if err != nil {
		return nil, err
	}
	defer cleanUp(dir)
	job := measure.Job{
		System: t.system, Task: t.task, Dir: dir, Entries: t.entries,
		Window: s.window, Limit: s.limit,
	}
	finding, err := runJob(ctx, job)
	if err != nil || t.task != measure.Backup {
		return finding.Samples, err
	}
	job.Task = measure.Load
	loaded, err := runJob(ctx, job)
	if err != nil {
		err = fmt.Errorf("load: %w", err)
	}
	return append(finding.Samples, loaded.Samples...), err
}

// cleanUp also waits for the disk. Otherwise a system that does not sync its files
// would leave the work to the measurement of the next system.
func cleanUp(dir string) {
	_ = os.RemoveAll(dir) // remains lie in the temporary folder
	syncDisks()
}

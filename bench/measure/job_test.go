package measure_test

import (
	"os"
	"testing"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
)

func run(t *testing.T, job measure.Job) measure.Finding {
	t.Helper()
	job.System, job.Entries, job.Window = "map+RWMutex", 200, 5*time.Millisecond
	finding, err := measure.Run(job)
	if err != nil {
		t.Fatal(err)
	}
	return finding
}

func TestEveryRateIsMeasured(t *testing.T) {
	tasks := []measure.Task{measure.Reads, measure.Writes, measure.Mixed, measure.Bulk, measure.Increments, measure.BesideComputing}
	for _, task := range tasks {
		t.Run(string(task), func(t *testing.T) {
			samples := run(t, measure.Job{Task: task, Dir: t.TempDir()}).Samples
			if len(samples) < 3 {
				t.Errorf("%d samples, want one for each number of callers", len(samples))
			}
			for _, s := range samples {
				if s.Value <= 0 {
					t.Errorf("%s, %s: %g", s.Table, s.Column, s.Value)
				}
			}
		})
	}
}

func TestBackupThenLoad(t *testing.T) {
	dir := t.TempDir()
	if len(run(t, measure.Job{Task: measure.Backup, Dir: dir}).Samples) == 0 {
		t.Error("a backup without samples")
	}
	for _, s := range run(t, measure.Job{Task: measure.Load, Dir: dir}).Samples {
		if s.Unit == measure.Share && s.Value != 1 {
			t.Errorf("%s: %g, want 1", s.Column, s.Value)
		}
	}
}

func TestInspectTellsDamage(t *testing.T) {
	dir := t.TempDir()
	run(t, measure.Job{Task: measure.SaveOnce, Dir: dir})
	if c := run(t, measure.Job{Task: measure.Inspect, Dir: dir}).Contents; c.Old != 200 {
		t.Errorf("after a good save: %+v", c)
	}
	path, size := measure.LargestFile(peer.Home{Dir: dir}.Backup())
	if err := os.Truncate(path, size/2); err != nil {
		t.Fatal(err)
	}
	if c := run(t, measure.Job{Task: measure.Inspect, Dir: dir}).Contents; c.LoadError == "" || c.Missing != 200 {
		t.Errorf("after a truncation: %+v", c)
	}
}

func TestUnknownJobs(t *testing.T) {
	for _, job := range []measure.Job{{System: "none"}, {System: peer.Reference, Task: "none"}} {
		if _, err := measure.Run(job); err == nil {
			t.Errorf("%+v was carried out", job)
		}
	}
}

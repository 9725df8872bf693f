package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
	"github.com/windevkay/forge/genie/bench/report"
)

const (
	faultEntries = 20_000
	faultLimit   = 30 * time.Second // for 20 000 entries, a sign of a hang
)

// A fault is one way to harm a backup: a first process saves, the fault strikes
// during the save or afterwards, and a second process loads.
type fault struct {
	kind   string
	save   measure.Task
	damage func(backup string) error // between the processes; may be nil
}

// fullDisk needs a disk that may be filled. If none can be mounted, a limit on the
// size of files comes closest.
func fullDisk(dir string) fault {
	if !isSmallDisk(dir) {
		return fault{kind: "no file may grow beyond half a backup", save: measure.SaveLimited}
	}
	return fault{kind: "the disk is full during a backup", save: measure.SaveFull}
}

func fileFaults() []fault {
	return []fault{
		{"the file ends at 60 %", measure.SaveOnce, truncate},
		{"one bit of one value is changed", measure.SaveOnce, changeOneBit},
	}
}

// measureFaults runs every fault on every system once: the outcome does not depend
// on the speed of the machine.
func measureFaults(ctx context.Context, s settings, results *report.Results, show *progress) error {
	dir, err := os.MkdirTemp(s.work, "genie-bench-*")
	if err != nil {
		return err
	}
	defer cleanUp(dir)
	unmount := mountSmallDisk(dir)
	defer unmount()
	for _, f := range append([]fault{fullDisk(dir)}, fileFaults()...) {
		for _, system := range s.systems() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			show.line("fault: " + f.kind + " · " + system.Name)
			results.Faults = append(results.Faults, f.run(ctx, dir, system.Name))
		}
	}
	return nil
}

func (f fault) run(ctx context.Context, parent, system string) report.Fault {
	outcome := report.Fault{Kind: f.kind, System: system}
	home := peer.Home{Dir: filepath.Join(parent, "fault")}
	if err := os.Mkdir(home.Dir, 0o700); err != nil {
		outcome.Crash = err.Error()
		return outcome
	}
	defer os.RemoveAll(home.Dir)
	job := measure.Job{System: system, Task: f.save, Dir: home.Dir, Entries: faultEntries, Limit: faultLimit}
	outcome.Save = f.answer(runJob(ctx, job))
	_ = os.Remove(measure.Ballast(home.Dir)) // exists only after a full disk
	if err := f.harm(home.Backup()); err != nil {
		outcome.Crash = err.Error()
		return outcome
	}
	job.Task = measure.Inspect
	finding, err := runJob(ctx, job)
	if err != nil {
		outcome.Crash = err.Error()
	}
	outcome.Found = finding.Contents
	return outcome
}

// answer returns the answer of the saving process to the fault, or the reason of
// its failure.
func (f fault) answer(finding measure.Finding, err error) string {
	if err != nil {
		return err.Error()
	}
	return finding.Note
}

func (f fault) harm(backup string) error {
	if f.damage == nil {
		return nil
	}
	return f.damage(backup)
}

func truncate(backup string) error {
	path, size := measure.LargestFile(backup)
	return os.Truncate(path, size*6/10)
}

// changeOneBit changes the middle of a value, which stays readable text, or the
// middle of a file that holds values in another form.
func changeOneBit(backup string) error {
	value := []byte(measure.Value(faultEntries/2, measure.Old))
	path, size := measure.LargestFile(backup)
	at := size / 2
	err := filepath.WalkDir(backup, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		if i := bytes.Index(content, value); i >= 0 {
			path, at = name, int64(i+len(value)/2)
		}
		return err
	})
	if err != nil {
		return err
	}
	return flip(path, at)
}

func flip(path string, at int64) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var b [1]byte
	if _, err := file.ReadAt(b[:], at); err != nil {
		return fmt.Errorf("change one bit: %w", err)
	}
	b[0] ^= 1
	if _, err := file.WriteAt(b[:], at); err != nil {
		return err
	}
	return file.Close()
}

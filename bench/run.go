package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/windevkay/forge/genie/bench/peer"
	"github.com/windevkay/forge/genie/bench/report"
)

// measured lists the modules whose versions the results name.
var measured = []string{
	"github.com/VictoriaMetrics/fastcache",
	"github.com/asynkron/protoactor-go",
	"github.com/hashicorp/go-memdb",
	"github.com/maypok86/otter/v2",
	"github.com/patrickmn/go-cache",
	"github.com/puzpuzpuz/xsync/v4",
	"github.com/tidwall/buntdb",
	"go.etcd.io/bbolt",
}

func run(ctx context.Context, s settings) error {
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	results := newResults(s)
	show := newProgress(s)
	interrupted := measureAll(ctx, s, results, show)
	if interrupted == nil && s.wants(faults) {
		interrupted = measureFaults(ctx, s, results, show)
	}
	show.log(fmt.Sprintf("done after %s, %d failed", time.Since(show.begin).Round(time.Second), len(results.Failures)))
	problem := errors.Join(interrupted, save(s, results))
	if problem == nil && len(s.tasks) == 0 {
		problem = draw(s)
	}
	return problem
}

func newResults(s settings) *report.Results {
	results := &report.Results{
		Head: report.Head{
			Date:     time.Now().UTC(),
			Machine:  report.DescribeMachine(workDir(s)),
			Build:    report.DescribeBuild(measured),
			Command:  s.command,
			Settings: s.String(),
		},
		Sizes: s.sizes,
	}
	for _, system := range s.systems() {
		results.Systems = append(results.Systems, contestant(system))
	}
	return results
}

func contestant(s peer.System) report.System {
	return report.System{
		Name:     s.Name,
		Bulk:     string(s.Bulk),
		Snapshot: string(s.Snapshot),
		Durable:  s.Durable,
	}
}

func workDir(s settings) string {
	if s.work != "" {
		return s.work
	}
	return os.TempDir()
}

// measureAll writes the results after each stage: an interrupted run keeps its
// figures.
func measureAll(ctx context.Context, s settings, results *report.Results, show *progress) error {
	for i, t := range show.plan {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		show.starting(i)
		begin := time.Now()
		samples, err := t.run(ctx, s)
		show.finished(t, time.Since(begin))
		results.Add(t.system, t.repeat, samples)
		if err != nil && ctx.Err() == nil {
			show.log(fmt.Sprintf("%v failed: %v", t, err))
			results.Failures = append(results.Failures, failure(t, err))
		}
		if last := i+1 == len(show.plan); last || show.plan[i+1].kind() != t.kind() {
			if err := save(s, results); err != nil {
				return err
			}
		}
	}
	return nil
}

func failure(t trial, err error) report.Failure {
	return report.Failure{System: t.system, Task: t.kind(), Repeat: t.repeat + 1, Reason: err.Error()}
}

func save(s settings, results *report.Results) error {
	if err := results.Write(s.file("json")); err != nil {
		return err
	}
	return results.WriteMarkdown(s.file("md"))
}

// file returns the path of the results in a format.
func (s settings) file(format string) string {
	return filepath.Join(s.out, s.name()+"."+format)
}

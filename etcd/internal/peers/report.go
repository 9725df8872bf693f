package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const explanation = `Each cell has the median of the rounds, their range, and the median of the ratios to the first row in the same round.
The other programs of the machine slow all rows, so only ratios within this table mean something.

- Get reads the replica, key after key. With 64 callers, the time is that in which all of them together make one read.
- Set overwrites a key with a value of 100 bytes. Its time is the median of the calls, and its rate that of all callers together.
- The time until another replica shows a write begins with the call of Set.
- The memory is that of a replica that has just been read, without its connection.
- After a cut: a replica loses its connection. Meanwhile a key is set, one is added and one deleted. Then the replica may connect
  again. "Resumes": it has all changes. "Told of gaps": it was told that changes are missing, and its program has to read
  everything anew. "Silent": it shows newer changes, misses an older one, and was told nothing.
- History gone: meanwhile etcd is compacted, and NATS removes the markers of deleted keys (PurgeDeletes, for markers of any age). Redis
  has no history.
`

// A run is what a report is of.
type run struct {
	plan
	contestants []*contestant
	missing     string // a line for a system that is left out, or ""
	took        time.Duration
	load        [2]string // of the machine, before and after
}

// measure runs all systems.
func (p plan) measure(ctx context.Context) (r run, err error) {
	r.plan, r.load[0] = p, loadNow()
	began := time.Now()
	all, missing := withRedis(systems())
	r.contestants, err = p.compare(ctx, all)
	r.missing, r.took, r.load[1] = missing, time.Since(began), loadNow()
	return r, err
}

// report writes the table with what it needs to be understood.
func (r run) report(w io.Writer) error {
	fmt.Fprintf(w, "# genie/etcd beside its peers\n\n    go run . -rounds %d -window %v -keys %d\n\n", r.rounds, r.window, r.keys)
	fmt.Fprintf(w, "%s, %s/%s, %d processors, took %v. Load of the machine (1, 5, 15 minutes): %s before, %s after.\n%s.\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), r.took.Round(time.Second), r.load[0], r.load[1], versions())
	if err := writeTable(w, r.contestants); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s%s", r.missing, explanation)
	return err
}

// loadNow returns the load averages, where the system has them.
func loadNow() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// versions names the modules that are compared.
func versions() string {
	compared := []string{"go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/server/v3",
		"github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "github.com/redis/rueidis"}
	info, _ := debug.ReadBuildInfo()
	var found []string
	for _, m := range info.Deps {
		if slices.Contains(compared, m.Path) {
			found = append(found, m.Path+" "+m.Version)
		}
	}
	return strings.Join(found, ", ")
}

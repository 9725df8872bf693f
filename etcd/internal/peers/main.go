// Program peers puts genie/etcd beside what its users pick instead: the bare client of etcd, NATS
// JetStream KV and Redis, each with a copy of the keyspace in the process. All systems run in
// this process, with one embedded server each, and take turns in one run. So the ratios say
// more than the times.
//
//	go run . -rounds 3 -window 300ms
//
// It prints one Markdown table. results.md has a run.
//
//	replica.go     replica, server, system: what is compared
//	genie.go bare.go etcd.go nats.go redis.go
//	mirror.go      the cache that programs keep by hand
//	contestant.go  a system at work
//	measure.go     figures
//	cut.go         words
//	table.go report.go    what is printed
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"
)

// A plan says how much to measure.
type plan struct {
	rounds int
	window time.Duration // of each measurement in each round
	keys   int
}

func main() {
	var p plan
	flag.IntVar(&p.rounds, "rounds", 3, "how often the systems take turns")
	flag.DurationVar(&p.window, "window", 300*time.Millisecond, "how long each measurement of a round takes")
	flag.IntVar(&p.keys, "keys", 10_000, "how many keys the keyspace has")
	flag.Parse()
	if p.rounds < 1 || p.keys < 1 {
		log.Fatal("peers: -rounds and -keys must be positive")
	}
	r, err := p.measure(context.Background())
	if err != nil {
		log.Fatal("peers: ", err)
	}
	if err := r.report(os.Stdout); err != nil {
		log.Fatal("peers: ", err)
	}
}

// compare measures systems in a folder of its own.
func (p plan) compare(ctx context.Context, systems []system) (contestants []*contestant, err error) {
	folder, err := os.MkdirTemp("", "peers")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, s := range systems {
		c, err := enter(ctx, s, filepath.Join(folder, fmt.Sprint(i)), p.names())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		defer c.leave()
		contestants = append(contestants, c)
	}
	if err := compete(ctx, contestants, p.rounds, p.window); err != nil {
		return nil, err
	}
	return contestants, cutOff(ctx, contestants)
}

func (p plan) names() []string {
	names := make([]string, p.keys)
	for i := range names {
		names[i] = fmt.Sprintf("key%08d", i)
	}
	return names
}

// cutOff finds the words of all systems. It comes after the figures because servers drop their
// history.
func cutOff(ctx context.Context, contestants []*contestant) (err error) {
	for _, c := range contestants {
		if c.words[0], err = afterCut(ctx, c.server, "cut", false); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if c.words[1], err = afterCut(ctx, c.server, "cutAndGone", true); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

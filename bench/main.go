// Command bench measures Genie beside the stores a Go user would pick instead. All
// do the same work in one run. The results go to a folder.
//
//	go run .                # everything; -help lists the flags
//	go run . -quick         # a glance, in a few minutes
//	go run . -draw          # the charts, from the results
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if isChild() {
		exit(serveJob())
	}
	settings, err := parseFlags(flag.CommandLine, os.Args[1:])
	if err != nil {
		exit(err)
	}
	if settings.draw {
		exit(draw(settings))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, settings))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

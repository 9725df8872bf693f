// Command quickstart tells which files of a folder are new, changed or gone since
// the last time it was run there.
//
//	go run ./examples/quickstart [flags] [folder]
//
// It keeps the path and the content hash of every file in a genie store. Several
// goroutines write to the store while it backs itself up; the backup is what the
// next run compares with. Kill it at any moment and nothing goes unreported.
//
// Where to look first: ledger.go for reading and writing a store, look.go for its
// life from NewStore to Close.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with everything it depends on, for the tests. It returns the exit
// code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = look(ctx, s, stdout, newConsole(stderr))
	}
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	return 0
}

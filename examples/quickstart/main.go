// Command quickstart shows in ten to twenty seconds how a store of package genie
// behaves, on real input, and checks the outcome itself.
//
//	go run ./examples/quickstart [folder]
//
// A worker process counts the words of every file in the folder, or of the Go
// sources of this machine, into a store that backs itself up ten times a second.
// Meanwhile and afterwards, tour.go
//
//   - kills the worker and starts it again,
//   - starts a second worker on the same file,
//   - measures the slowest call during a backup,
//   - lets a backup fail,
//   - compares the counts with those of a plain map.
//
// The exit code is 1 if the counts differ. worker.go is the program that a user of
// the package would write; the other files only look at it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	if isWorker() {
		exitIf(work(os.Args[1], os.Args[2], os.Stdin, os.Stdout))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second ctrl-C ends the program at once
	exitIf(run(ctx, os.Args[1:], os.Stdout))
}

func exitIf(err error) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run gives the tour, in a temporary folder that it removes.
func run(ctx context.Context, args []string, out io.Writer) error {
	folder, err := parse(ctx, args)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "genie-quickstart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	files, err := list(folder)
	if err != nil {
		return err
	}
	t := &tour{out: out, folder: folder, files: files, path: filepath.Join(scratch, "words.json")}
	if err := t.walk(ctx); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return ctx.Err()
}

// parse returns the folder of the command line, or that of the Go sources.
func parse(ctx context.Context, args []string) (folder string, err error) {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: quickstart [folder]\n\n"+
			"Counts the words of all files in the folder (which must not change meanwhile),\n"+
			"or of the Go sources of this machine. Kills and restarts itself, and compares.")
	}
	if err := flags.Parse(args); err != nil {
		return "", err
	}
	switch flags.NArg() {
	case 0:
		root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return "", fmt.Errorf("find the Go sources: %w; name a folder instead", err)
		}
		return filepath.Join(strings.TrimSpace(string(root)), "src"), nil
	case 1:
		return filepath.Abs(flags.Arg(0))
	}
	return "", fmt.Errorf("%d folders given, not one", flags.NArg())
}

// Command genie looks into the backup files of programs that use package genie.
// It never changes a file, and works while the program runs or after it crashed.
//
//	go install github.com/windevkay/forge/genie/cmd/genie@latest
//
//	genie cat sessions.json | jq    prints the entries as one JSON object
//	genie verify sessions.json      says where the data is and whether it is whole
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"

	"github.com/windevkay/forge/genie"
)

const usage = `genie looks into the backup file of a program that uses package genie.

usage:
  genie cat FILE      print the entries of FILE as one JSON object
  genie verify FILE   say where the data of FILE is, how many entries it has,
                      and whether it is whole
  genie help          print this text

FILE is the backup file of the program, such as ~/.kvstore_backup.json. While the
program runs, its data may be in FILE.loaded; genie finds it there. genie reads
beside the program, takes no lock and never changes a file.

example:
  genie cat sessions.json | jq 'keys | length'

exit codes:
  0  done; the data is whole
  1  the data is damaged: the message names the line and the key
  2  the command line is wrong
  3  the data cannot be read, or does not exist
  4  the output cannot be written
`

// The exit codes, as in usage.
const (
	exitWhole = iota
	exitDamaged
	exitUsage
	exitUnreadable
	exitOutput
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run carries out one command and returns the exit code.
func run(args []string, out, messages io.Writer) int {
	if len(args) == 1 && args[0] == "help" || slices.ContainsFunc(args, isHelpFlag) {
		return written(messages, func() error {
			_, err := io.WriteString(out, usage)
			return err
		})
	}
	if len(args) != 2 {
		fmt.Fprint(messages, usage)
		return exitUsage
	}
	command, known := map[string]func(path string, out io.Writer) error{"cat": cat, "verify": verify}[args[0]]
	if !known {
		fmt.Fprintf(messages, "genie: unknown command %q\n\n%s", args[0], usage)
		return exitUsage
	}
	return written(messages, func() error { return command(args[1], out) })
}

func isHelpFlag(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

// written returns the exit code for the error of a command, and prints the error.
// A reader that has closed the pipe, such as head, has had enough: no message.
func written(messages io.Writer, command func() error) int {
	err := command()
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		fmt.Fprintln(messages, err)
	}
	var output *outputError
	switch {
	case err == nil:
		return exitWhole
	case errors.Is(err, genie.ErrCorrupt):
		return exitDamaged
	case errors.As(err, &output):
		return exitOutput
	default:
		return exitUnreadable
	}
}

// An outputError is a failure to write the result, not to read the data.
type outputError struct{ err error }

func (e *outputError) Error() string { return "genie: write the output: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// cat prints the entries of the backup at path. WriteTo encodes as it goes, so
// nothing is held twice in memory.
func cat(path string, out io.Writer) error {
	store, err := open(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(out)
	_, err = store.WriteTo(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return &outputError{err}
	}
	return nil
}

// Command geniebackup copies the backup file of a program that uses package genie into a
// bucket, and brings it back. A bucket is a folder, or a bucket of S3, Google Cloud Storage or Azure.
//
//	geniebackup copy app.json /mnt/backups/genie       copies the file now
//	geniebackup list /mnt/backups/genie                lists the copies
//	geniebackup verify /mnt/backups/genie              reads every copy and says which are whole
//	geniebackup restore /mnt/backups/genie app.json    writes the newest copy that is whole
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/windevkay/forge/genie/blob"
)

const usage = `geniebackup copies the backup file of a program that uses package genie into a
bucket, and brings it back.

usage:
  geniebackup copy [flags] FILE BUCKET      copy FILE into BUCKET now, and read the
                                            copy back
  geniebackup list [flags] BUCKET           list the copies, oldest first
  geniebackup verify [flags] BUCKET         read the copies and say which are whole
  geniebackup restore [flags] BUCKET FILE   write the newest copy that is whole to FILE
  geniebackup help                          print this text

FILE is the backup file of the program, such as app.json. copy reads it beside the
running program. restore needs the program to have ended.

BUCKET is a folder, or a URL:
  /mnt/backups/genie                    a folder, which must exist
  s3://my-bucket?region=eu-central-1    S3, and services like it
  gs://my-bucket                        Google Cloud Storage
  azblob://my-container                 Azure
The credentials are those that the command line tools of these services use, such as
AWS_PROFILE or AWS_ACCESS_KEY_ID. See https://gocloud.dev/howto/blob/ for more URLs.

flags, which go before FILE and BUCKET:
  -prefix PATH      the place in the bucket; use one for each program and machine,
                    such as app/host1 (none unless given)
  -quiet            print no progress
of copy, which removes older copies if it has at least one of these flags:
  -keep-last N      the N newest copies stay (24)
  -keep-days N      and the last copy of each of the N newest days with one (30)
of verify and restore:
  -copy NAME        only this copy, as list prints it; "newest" is one, too
of restore:
  -replace          replace the entries that FILE has

memory: copy takes about twice the size of FILE, restore four times, and restore over
a FILE as large six times. list and verify take some 40 MB, whatever the size.

example, with a folder as the bucket:
  geniebackup copy app.json /mnt/backups/genie
  geniebackup restore /mnt/backups/genie restored.json

exit codes:
  0  done
  1  failed; the message says why. The entries of FILE and all older copies are as
     they were, or the work is done, and only the removal of older copies or the
     printing failed. If restore -replace cannot write FILE, as on a full disk, FILE
     may be empty: the program finds its entries in FILE.loaded, as after a crash
  2  the command line is wrong
  3  there is no copy under this prefix of the bucket
  4  no access to the bucket: no credentials were found, the service that gives them
     out did not answer, they are wrong or have expired, or a right is missing
  5  done, but newer copies are damaged and were passed over, or verify has found a
     damaged copy
  6  every copy is damaged; nothing was restored
  130  interrupted by Ctrl-C or SIGTERM, and otherwise as 1.
     While restore writes FILE, it goes on at the first Ctrl-C. The second ends it at
     once, and FILE then has the old entries or the new ones
`

// The exit codes, as in usage.
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitNoCopy
	exitDenied
	exitSomeDamaged
	exitAllDamaged
	exitInterrupted = 130 // as shells say it: 128 and the number of SIGINT
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // a pipe whose reader has ended gives an error then
	ctx, stop := withSignals(context.Background())
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// An action is a command with its flags.
type action struct {
	args []string // that follow the flags
	run  func(ctx context.Context, c *command) error
	own  []string // flags, beside those that all have
}

var actions = map[string]action{
	"copy":    {[]string{"FILE", "BUCKET"}, copyNow, []string{"keep-last", "keep-days"}},
	"list":    {[]string{"BUCKET"}, list, nil},
	"verify":  {[]string{"BUCKET"}, verify, []string{"copy"}},
	"restore": {[]string{"BUCKET", "FILE"}, restore, []string{"copy", "replace"}},
}

// A command is what the command line says, and where its output goes.
type command struct {
	out      *output
	messages io.Writer
	progress *progress
	args     []string

	prefix, copy       string
	replace            bool
	keepLast, keepDays int
	removes            bool // the command line has a keep rule
}

func newCommand(out, messages io.Writer) *command {
	p := newProgress(messages)
	return &command{out: &output{to: out, progress: p}, messages: messages, progress: p}
}

// errUsage is given for a command line that is wrong.
var errUsage = errors.New("wrong command line")

// run carries out one command and returns the exit code. A result that could not be printed is a
// failure: a script that reads it would take it for another.
func run(ctx context.Context, args []string, out, messages io.Writer) int {
	c := newCommand(out, messages)
	err := c.do(ctx, args)
	code := codeOf(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err, code = errInterrupted, exitInterrupted
	}
	if c.out.err != nil && code == exitDone {
		code = exitFailed
	}
	for _, err := range []error{err, c.out.err} {
		if err != nil {
			fmt.Fprintln(messages, "geniebackup:", text(err))
		}
	}
	if code == exitUsage {
		fmt.Fprintln(messages, "geniebackup -h explains the commands and flags")
	}
	return code
}

// errInterrupted is the message for what a signal ended. The errors of the work say the same in many ways.
var errInterrupted = errors.New("interrupted")

// do carries out one command.
func (c *command) do(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "help" || slices.ContainsFunc(args, isHelpFlag) {
		fmt.Fprint(c.out, usage)
		return nil
	}
	do, err := c.parse(args)
	if err != nil {
		return err
	}
	return do(ctx, c)
}

// text returns the text of an error without the name of the package, which stands in each error
// that another one holds.
func text(err error) string { return strings.ReplaceAll(err.Error(), "genie/blob: ", "") }

func isHelpFlag(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

// parse reads the command line and returns what to do.
func (c *command) parse(args []string) (func(context.Context, *command) error, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("%w: no command", errUsage)
	}
	a, known := actions[args[0]]
	if !known {
		return nil, fmt.Errorf("%w: unknown command %q", errUsage, args[0])
	}
	flags := c.flags(args[0], a.own)
	if err := flags.Parse(args[1:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	var err error
	flags.Visit(func(f *flag.Flag) {
		c.removes = c.removes || strings.HasPrefix(f.Name, "keep-")
		if f.Name == "copy" && c.copy == "" { // such as a variable of a shell that is not set
			err = fmt.Errorf("%w: -copy has no name", errUsage)
		}
	})
	if c.args = flags.Args(); len(c.args) != len(a.args) {
		err = wrongArguments(args[0], a.args, c.args)
	}
	if err == nil {
		err = c.check()
	}
	return a.run, err
}

// wrongArguments returns the error for arguments that are too few or too many.
func wrongArguments(name string, want, got []string) error {
	has := "nothing"
	if len(got) > 0 {
		has = strings.Join(got, " ")
	}
	err := fmt.Errorf("%w: %s takes %s, and has %s", errUsage, name, strings.Join(want, " "), has)
	if slices.ContainsFunc(got, func(arg string) bool { return strings.HasPrefix(arg, "-") }) {
		err = fmt.Errorf("%w; flags go before %s", err, want[0])
	}
	return err
}

// flags returns the flags of a command.
func (c *command) flags(name string, own []string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard) // run prints the error, and the usage of all
	f.StringVar(&c.prefix, "prefix", "", "")
	f.BoolVar(&c.progress.quiet, "quiet", false, "")
	for _, flag := range own {
		switch flag {
		case "keep-last":
			f.IntVar(&c.keepLast, flag, 24, "")
		case "keep-days":
			f.IntVar(&c.keepDays, flag, 30, "")
		case "copy":
			f.StringVar(&c.copy, flag, "", "")
		case "replace":
			f.BoolVar(&c.replace, flag, false, "")
		}
	}
	return f
}

// A doneError is a command that is done, with copies that were passed over.
type doneError struct{ err error }

func (e *doneError) Error() string { return e.err.Error() }
func (e *doneError) Unwrap() error { return e.err }

// codeOf returns the exit code for the error of a command.
func codeOf(err error) int {
	_, done := errors.AsType[*doneError](err)
	switch {
	case err == nil:
		return exitDone
	case done:
		return exitSomeDamaged
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, blob.ErrNoCopy):
		return exitNoCopy
	case errors.Is(err, blob.ErrDamaged):
		return exitAllDamaged
	case errors.Is(err, fs.ErrPermission), errors.Is(err, errNoCredentials):
		return exitDenied
	}
	return exitFailed
}

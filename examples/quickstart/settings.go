package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// settings are what the command line says.
type settings struct {
	folder string // absolute, without symbolic links
	backup string
	all    bool // list every file, however many
}

const usage = `Usage: quickstart [flags] [folder]

Tells which files of the folder are new, changed or gone since the last run. The
current folder is the default. Symbolic links inside it are not followed; files
that cannot be read are named, and keep their last known state.

Ctrl-C ends the run early and in order: what was read is reported and saved, what
was not reached is left for the next run. Do one run at a time for each folder.

The exit code is 0, or 1 after an error.

Flags:
`

// parse returns the settings, or flag.ErrHelp after printing the help to out.
func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is printed by the caller, the help below
	flags.StringVar(&s.backup, "backup", "", "keep the state in this `file` (default: one for each folder, in the user's cache)")
	flags.BoolVar(&s.all, "v", false, "list every file, not just the first of each kind")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, usage)
			flags.SetOutput(out)
			flags.PrintDefaults()
		}
		return s, err
	}
	if flags.NArg() > 1 {
		return s, fmt.Errorf("one folder at a time, not %d", flags.NArg())
	}
	var err error
	if s.folder, err = resolve(flags.Arg(0)); err == nil && s.backup == "" {
		s.backup, err = backupFor(s.folder)
	}
	return s, err
}

// resolve returns the one name of folder that all its names lead to: the state
// must be found again however the folder is called the next time.
func resolve(folder string) (string, error) {
	absolute, err := filepath.Abs(folder) // of "" it is the current folder
	if err != nil {
		return "", err
	}
	folder, err = filepath.EvalSymlinks(absolute)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = &os.PathError{Op: "walk", Path: folder, Err: syscall.ENOTDIR}
	}
	return folder, err
}

// backupFor returns the backup file of folder. It is this program's own: the
// default of genie.NewStore may hold another program's data.
func backupFor(folder string) (string, error) {
	dir, err := stateDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the backup: %w; name one with -backup", err)
	}
	sum := sha256.Sum256([]byte(folder))
	return filepath.Join(dir, hex.EncodeToString(sum[:8])+".json"), nil
}

// stateDir returns a folder that exists: in the user's cache or, without a home,
// where temporary files go. There the user's number keeps users apart.
func stateDir() (string, error) {
	if cache, err := os.UserCacheDir(); err == nil {
		dir := filepath.Join(cache, "genie-quickstart")
		if os.MkdirAll(dir, 0o700) == nil {
			return dir, nil
		}
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("genie-quickstart-%d", os.Getuid()))
	return dir, os.MkdirAll(dir, 0o700)
}

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/windevkay/forge/genie"
)

// open reads the backup at path, strictly, and touches nothing.
func open(path string) (*genie.Store, error) {
	return genie.NewStore(genie.WithPath(path), genie.WithReadOnly())
}

// verify reads all of the backup at path and prints what it found.
func verify(path string, out io.Writer) error {
	before := sourceOf(path)
	store, err := open(path)
	if err != nil {
		return err
	}
	where := before
	// A backup or a load of the running program may have come between.
	if now := sourceOf(path); now != before {
		where = before + ", then " + now
	}
	entries := "entries"
	if store.Len() == 1 {
		entries = "entry"
	}
	if _, err := fmt.Fprintf(out, "%s: whole, %d %s, in %s\n", path, store.Len(), entries, where); err != nil {
		return &outputError{err}
	}
	return nil
}

// sourceOf names the file that has the data of path: the backup file if it has
// contents, else the hand-over file, which a program keeps from its start to its
// first backup.
func sourceOf(path string) string {
	if hasContents(path) {
		return "the backup file"
	}
	if hasContents(path + ".loaded") {
		return "the hand-over file " + path + ".loaded"
	}
	return "no file: the backup file is empty"
}

func hasContents(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
}

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/internal/codec"
	"github.com/windevkay/forge/genie/internal/durable"
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
	steps, err := stepsOf(path)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s: whole, %s, in %s%s\n", path, count(store.Len(), "entry", "entries"), where, steps); err != nil {
		return &outputError{err}
	}
	return nil
}

// stepsOf says how many steps a journal has behind its object, or nothing if it has
// none.
func stepsOf(path string) (words string, err error) {
	var found codec.Extent
	err = durable.Read(durable.OS{}, path, func(_ string, r io.Reader) error {
		found, err = codec.DecodeJournal(r, func(keys, _ []string, _ []int64) int { return len(keys) }, func([]codec.Change) {})
		return err
	})
	if found.Steps > 0 {
		words = ", with " + count(found.Steps, "step", "steps")
	}
	if found.Torn > 0 {
		words += fmt.Sprintf("; a crash has cut off a step that was not acknowledged: its %s do not count",
			count(int(found.Torn), "byte", "bytes"))
	}
	return words, err
}

func count(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprint(n, " ", many)
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

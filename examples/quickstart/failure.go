package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"

	"github.com/windevkay/forge/genie"
)

// failedBackup lets a backup fail in the middle of its file, as a full disk does,
// and checks the file before, after, and after the next backup.
func (t *tour) failedBackup(context.Context) (err error) {
	store, err := genie.NewStore(genie.WithPath(t.path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Backup(); err != nil {
		return err
	}
	before, err := os.ReadFile(t.path)
	if err != nil {
		return err
	}

	store.Set("a new entry", strings.Repeat("large ", 1<<20))
	limit := len(before) + 1<<20 // not enough for the entry
	free, err := fillDisk(int64(limit))
	if errors.Is(err, errors.ErrUnsupported) {
		t.say("On this system the tour cannot make a backup fail.")
		return nil
	}
	if err != nil {
		return err
	}
	failure := store.Backup()
	if err := free(); err != nil {
		return err
	}
	if failure == nil {
		return errors.New("a backup succeeded although no file could grow so long")
	}
	t.say("Set an entry of 6 MB, let no file grow beyond %d bytes, as on a full disk, and the", limit)
	t.say("backup fails:")
	t.say("  %v", failure)
	if err := t.unchanged(before); err != nil {
		return err
	}
	t.say("The last good backup is still there, byte for byte.")

	if err := store.Backup(); err != nil {
		return err
	}
	return t.holdsAll(store)
}

func (t *tour) unchanged(before []byte) error {
	now, err := os.ReadFile(t.path)
	if err == nil && !bytes.Equal(now, before) {
		err = errors.New("the failed backup has changed the file")
	}
	return err
}

// holdsAll checks that the newest backup has every entry of the store.
func (t *tour) holdsAll(store *genie.Store) error {
	entries, err := t.entries()
	if err != nil {
		return err
	}
	for key, value := range store.All() {
		if entries[key] != value {
			return errors.New("the next backup lacks an entry")
		}
	}
	t.say("With room again, the next backup has all %d entries.", len(entries))
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/blob"
)

// restore writes a backup file. A genie.Store does it, so the file is locked and replaced as a
// whole, as when its program writes it. The file is not touched before a copy was read to its end
// and is whole.
func restore(ctx context.Context, c *command) error {
	where, file := c.args[0], c.args[1]
	if err := checkInUse(file); err != nil {
		return withoutCause(err)
	}
	if err := c.mayReplace(ctx, file); err != nil {
		return withoutCause(err)
	}
	if err := checkWritable(file); err != nil {
		return withoutCause(err)
	}
	return c.withCopies(ctx, where, func(copies *blob.Copies) error {
		store, err := genie.NewStore(genie.WithoutFile())
		if err != nil {
			return err
		}
		restored, err := c.restoreInto(ctx, copies, store)
		if err != nil {
			return err
		}
		if err := c.save(ctx, store, file); err != nil {
			return withoutCause(withPlace(err, file))
		}
		fmt.Fprintf(c.out, "restored %s from %s to %s\n", count(store.Len(), "entry", "entries"), restored.Copy.Name, file)
		return passedOver(restored)
	})
}

// save makes the entries of a store those of a file, unless ctx has ended before. Once begun it goes
// on to its end: to give up in the middle would leave an empty backup in the place of a missing file.
// Its program may have written the file since the first look at it.
func (c *command) save(ctx context.Context, store *genie.Store, file string) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	owner, err := genie.NewStore(genie.WithPath(file))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, owner.Close()) }()
	if err := c.replaces(owner, file); err != nil {
		return err
	}
	from, to := io.Pipe()
	go func() {
		_, err := store.WriteTo(to)
		to.CloseWithError(err) // nil is the end
	}()
	_, err = owner.ReadFrom(from)
	from.CloseWithError(err)
	return err
}

// withPlace returns an error of a save with the place of the entries that the file had before, as the file
// itself may be empty then.
func withPlace(err error, file string) error {
	if target, failed := filepath.EvalSymlinks(file); failed == nil {
		file = target
	}
	if _, failed := os.Stat(file + ".loaded"); failed != nil {
		return err
	}
	return fmt.Errorf("%w; the entries are as they were, in %s.loaded, and the program finds them there", err, file)
}

// mayReplace reports whether a file may be written: it has no entries, or the command line says so.
func (c *command) mayReplace(ctx context.Context, file string) error {
	store, err := read(ctx, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, genie.ErrCorrupt):
		return fmt.Errorf("%w; move the file away first", err)
	case err != nil:
		return err
	}
	return c.replaces(store, file)
}

// replaces returns an error if a file has these entries, and the command line does not say to replace them.
func (c *command) replaces(entries *genie.Store, file string) error {
	if n := entries.Len(); n > 0 && !c.replace {
		return fmt.Errorf("%s has %s; -replace replaces them", file, count(n, "entry", "entries"))
	}
	return nil
}

// checkWritable returns an error if no file can be made beside the one that is to be written, so that nothing
// is transferred in vain.
func checkWritable(file string) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	probe, err := os.CreateTemp(filepath.Dir(file), ".geniebackup-")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// restoreInto restores the copy that was chosen, or the newest that is whole.
func (c *command) restoreInto(ctx context.Context, copies *blob.Copies, store *genie.Store) (blob.Restored, error) {
	if c.copy == "" {
		return copies.Restore(ctx, store)
	}
	chosen, err := c.chosen(ctx, copies)
	if err != nil {
		return blob.Restored{}, err
	}
	err = copies.RestoreCopy(ctx, store, chosen[0])
	if errors.Is(err, blob.ErrDamaged) { // without the exit code that says it of every copy
		err = fmt.Errorf("nothing was restored, as only this copy was tried: %w", withoutCause(err))
	}
	return blob.Restored{Copy: chosen[0]}, err
}

// passedOver returns the error for a restore that did not take the newest copy.
func passedOver(r blob.Restored) error {
	if len(r.PassedOver) == 0 {
		return nil
	}
	failed := []error{fmt.Errorf("passed over %s", count(len(r.PassedOver), "newer copy", "newer copies"))}
	for _, damage := range r.PassedOver {
		failed = append(failed, damage)
	}
	return &doneError{errors.Join(failed...)}
}

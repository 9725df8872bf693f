package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/windevkay/forge/genie/blob"
)

// copyNow copies a backup file, as a start of its program would find it now.
func copyNow(ctx context.Context, c *command) error {
	file, where := c.args[0], c.args[1]
	store, err := read(ctx, file)
	if err != nil {
		return withoutCause(err)
	}
	return c.withCopies(ctx, where, func(copies *blob.Copies) error {
		before, err := c.removable(ctx, copies)
		if err != nil {
			return err
		}
		made, err := copies.Copy(ctx, store)
		if err == nil || errors.Is(err, blob.ErrPrune) {
			fmt.Fprintf(c.out, "copied %s, %s, as %s\n", count(store.Len(), "entry", "entries"), size(made.Bytes), made.Name)
			err = errors.Join(err, c.printRemoved(ctx, copies, before))
		}
		if errors.Is(err, blob.ErrDamaged) {
			return withoutCause(err) // the new copy, which has no exit code of its own
		}
		return err
	}, c.keepRule())
}

// keepRule returns the rule of the command line. The program that owns the file may keep more than
// this package does unless told, so a command line without a rule removes nothing of it.
func (c *command) keepRule() blob.Option {
	if !c.removes {
		return blob.WithKeepAll()
	}
	return blob.WithKeep(c.keepLast, c.keepDays)
}

// removable returns the copies that are there before a copy is made, if some may be removed.
func (c *command) removable(ctx context.Context, copies *blob.Copies) ([]blob.Copy, error) {
	if !c.removes {
		return nil, nil
	}
	return copies.List(ctx)
}

// printRemoved says how many of the copies are gone. If another process removes copies at the same
// time, those count, too.
func (c *command) printRemoved(ctx context.Context, copies *blob.Copies, before []blob.Copy) error {
	if len(before) == 0 {
		return nil
	}
	left, err := copies.List(ctx)
	if err != nil {
		return fmt.Errorf("count the copies that were removed: %w", err)
	}
	removed := slices.DeleteFunc(before, func(old blob.Copy) bool { return slices.Contains(left, old) })
	fmt.Fprintf(c.out, "removed %s\n", count(len(removed), "older copy", "older copies"))
	return nil
}

// withoutCause returns an error with the exit code of a failure. A file that is missing or may not
// be read must not give the exit code of a bucket. An interruption stays known.
func withoutCause(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return errors.New(err.Error())
}

func count(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprint(n, " ", many)
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/blob"
)

// copyNow copies a backup file, as a start of its program would find it now.
func copyNow(ctx context.Context, c *command) error {
	file, where := c.args[0], c.args[1]
	store, err := genie.NewStore(genie.WithPath(file), genie.WithReadOnly())
	if err != nil {
		return withoutCause(err)
	}
	keep := blob.WithKeep(c.keepLast, c.keepDays)
	if c.keepAll {
		keep = blob.WithKeepAll()
	}
	return c.withCopies(ctx, where, func(copies *blob.Copies) error {
		made, err := copies.Copy(ctx, store)
		if err == nil || errors.Is(err, blob.ErrPrune) {
			fmt.Fprintf(c.out, "copied %s, %s, as %s\n", count(store.Len(), "entry", "entries"), size(made.Bytes), made.Name)
		}
		if errors.Is(err, blob.ErrDamaged) {
			return withoutCause(err) // the new copy, which has no exit code of its own
		}
		return err
	}, keep)
}

// withoutCause returns an error with the exit code of a failure. A file that is missing or may not
// be read must not give the exit code of a bucket.
func withoutCause(err error) error { return errors.New(err.Error()) }

func count(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprint(n, " ", many)
}

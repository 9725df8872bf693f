package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/windevkay/forge/genie/blob"
)

// verify reads copies and says which are whole.
func verify(ctx context.Context, c *command) error {
	return c.withCopies(ctx, c.args[0], func(copies *blob.Copies) error {
		chosen, err := c.chosen(ctx, copies)
		if err != nil {
			return err
		}
		damaged := 0
		for _, copy := range chosen {
			err := copies.Verify(ctx, copy)
			if err != nil && !errors.Is(err, blob.ErrDamaged) {
				return err
			}
			if err != nil {
				damaged++
				fmt.Fprintln(c.out, err)
				continue
			}
			fmt.Fprintf(c.out, "whole: %s, %s\n", copy.Name, size(copy.Bytes))
		}
		return damage(damaged, len(chosen))
	})
}

// damage returns the error for a number of copies that are damaged, of those that were read.
func damage(damaged, read int) error {
	switch damaged {
	case 0:
		return nil
	case read:
		return fmt.Errorf("every copy is damaged: %w", blob.ErrDamaged)
	}
	return &doneError{fmt.Errorf("%d of %d copies are damaged", damaged, read)}
}

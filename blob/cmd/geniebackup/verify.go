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
		whole, damaged := 0, 0
		for _, copy := range chosen {
			switch err := copies.Verify(ctx, copy); {
			case err == nil:
				whole++
				fmt.Fprintf(c.out, "whole: %s, %s\n", copy.Name, size(copy.Bytes))
			case errors.Is(err, blob.ErrDamaged):
				damaged++
				fmt.Fprintln(c.out, text(err))
			case errors.Is(err, blob.ErrRemoved):
				fmt.Fprintf(c.out, "removed meanwhile: %s\n", copy.Name)
			default:
				return err
			}
		}
		return c.damage(whole, damaged)
	})
}

// damage returns the error for the copies that were read.
func (c *command) damage(whole, damaged int) error {
	switch {
	case damaged == 0:
		return nil
	case c.copy != "":
		return &doneError{errors.New("this copy is damaged; the others were not read")}
	case whole == 0:
		return fmt.Errorf("every copy is damaged: %w", blob.ErrDamaged)
	}
	return &doneError{fmt.Errorf("%d of %d copies are damaged", damaged, whole+damaged)}
}

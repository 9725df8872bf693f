package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/windevkay/forge/genie/blob"
)

// A tally counts the copies that were read.
type tally struct{ whole, damaged int }

// verify reads copies and says which are whole.
func verify(ctx context.Context, c *command) error {
	return c.withCopies(ctx, c.args[0], func(copies *blob.Copies) error {
		chosen, err := c.chosen(ctx, copies)
		if err != nil {
			return err
		}
		var read tally
		for _, copy := range chosen {
			if err := c.verifyOne(ctx, copies, copy, &read); err != nil {
				return read.cutShort(err)
			}
		}
		return c.verdict(read)
	})
}

// verifyOne prints the state of a copy, or returns an error if it could not be read.
func (c *command) verifyOne(ctx context.Context, copies *blob.Copies, copy blob.Copy, read *tally) error {
	switch err := copies.Verify(ctx, copy); {
	case err == nil:
		read.whole++
		fmt.Fprintf(c.out, "whole: %s, %s\n", copy.Name, size(copy.Bytes))
	case errors.Is(err, blob.ErrDamaged):
		read.damaged++
		fmt.Fprintln(c.out, text(err))
	case errors.Is(err, blob.ErrRemoved):
		fmt.Fprintf(c.out, "removed meanwhile: %s\n", copy.Name)
	default:
		return err
	}
	return nil
}

// cutShort returns the error for a copy that could not be read, after which no other one is. It must not hide
// damage that was found before.
func (t tally) cutShort(err error) error {
	if t.damaged > 0 {
		err = &doneError{fmt.Errorf("%s damaged, and the others could not be read: %w", count(t.damaged, "copy is", "copies are"), err)}
	}
	return err
}

// verdict returns the error for the copies that were read.
func (c *command) verdict(read tally) error {
	switch {
	case read.whole == 0 && read.damaged == 0:
		return errors.New("nothing was verified, as each copy was removed meanwhile; newer copies may be there")
	case read.damaged == 0:
		return nil
	case c.copy != "":
		return &doneError{errors.New("this copy is damaged; the others were not read")}
	case read.whole == 0:
		return fmt.Errorf("every copy is damaged: %w", blob.ErrDamaged)
	}
	return &doneError{fmt.Errorf("%d of %d copies are damaged", read.damaged, read.whole+read.damaged)}
}

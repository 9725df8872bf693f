package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/windevkay/forge/genie/blob"
)

// list prints the copies.
func list(ctx context.Context, c *command) error {
	return c.withCopies(ctx, c.args[0], func(copies *blob.Copies) error {
		all, err := c.chosen(ctx, copies)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		for _, copy := range all {
			fmt.Fprintf(table, "%s\t%s\t%s\n", copy.Time.Format("2006-01-02 15:04:05 MST"), size(copy.Bytes), copy.Name)
		}
		_ = table.Flush() // c.out keeps its error
		return nil
	})
}

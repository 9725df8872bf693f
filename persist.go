package genie

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"

	"github.com/windevkay/forge/genie/internal/codec"
	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/trie"
)

// A destination of backups has two verbs: create, then write, and commit or
// abort; and load. Only durable.File is one so far. Another, off the machine,
// goes where it is named here and in state, which is the time for an interface;
// io.WriteCloser would not do, for its Close cannot tell commit from abort.

// readBackup loads file, which leaves it empty. What cannot be loaded whole is
// not loaded, and nothing is touched.
func readBackup(file *durable.File) (*trie.Map, error) {
	entries := trie.New()
	err := file.Load(func(name string, r io.Reader) error {
		entries = trie.New()
		err := codec.Decode(r, func(key, value string) bool {
			_, existed := entries.Set(key, value)
			return existed
		})
		if syntax, ok := errors.AsType[*codec.SyntaxError](err); ok {
			return &CorruptError{Path: name, Offset: syntax.Offset, Err: syntax.Err}
		}
		return err
	})
	if errors.Is(err, ErrCorrupt) {
		return nil, err // it says all this itself
	}
	if err != nil {
		return nil, fmt.Errorf("genie: load %s: %w", file.Path(), err)
	}
	return entries, nil
}

// writeBackup replaces file by the entries of view, or leaves it as it was.
func writeBackup(file *durable.File, view trie.View) error {
	if err := replace(file, view); err != nil {
		return fmt.Errorf("genie: back up %s: %w", file.Path(), err)
	}
	return nil
}

func replace(file *durable.File, view trie.View) error {
	pending, err := file.Create()
	if err != nil {
		return err
	}
	if _, err := codec.Encode(pending, givingWay(view.All)); err != nil {
		pending.Abort()
		return err
	}
	return pending.Commit()
}

// entriesPerTurn is small on purpose. Where there is one processor, the scheduler
// fetches a goroutine that has given way after 61 others; it must not work for
// longer than those do, or a backup takes most of the processor. With 8 entries
// of 60 bytes the others keep two thirds of it; a backup takes 2 % longer.
const entriesPerTurn = 8

// givingWay passes entries on and lets other goroutines run every so often: a
// loop that never blocks would otherwise keep its processor for 10 ms at a time.
func givingWay(entries iter.Seq2[string, string]) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		n := 0
		for key, value := range entries {
			if !yield(key, value) {
				return
			}
			if n++; n%entriesPerTurn == 0 {
				runtime.Gosched()
			}
		}
	}
}

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
		err := codec.Decode(r, entries.AddAll)
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
	if !file.Loaded() { // another process was faster, after all had been read
		return trie.New(), nil
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

// entriesPerTurn is how many entries a backup encodes before it gives way. With
// one processor, callers and owner get no further than a command each before it
// is the backup's turn again, so that must not be longer than theirs: with 1
// entry they keep 0.8 of their rate, with 8 half, with 512 a tenth. With more
// processors there is one for them, and giving way often only moves them about.
func entriesPerTurn() int {
	if runtime.GOMAXPROCS(0) == 1 {
		return 1
	}
	return 512
}

// givingWay passes entries on and lets other goroutines run every so often: a
// loop that never blocks would otherwise keep its processor for 10 ms at a time.
func givingWay(entries iter.Seq2[string, string]) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		n, turn := 0, entriesPerTurn()
		for key, value := range entries {
			if !yield(key, value) {
				return
			}
			if n++; n%turn == 0 {
				runtime.Gosched()
			}
		}
	}
}

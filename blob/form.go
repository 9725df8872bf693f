package blob

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/go-json-experiment/json/jsontext"
)

// A form checks that a text is a backup. genie.Store.ReadFrom would check more, and would need the
// memory of a map: that no name comes twice, and that each time is a time.
type form struct {
	text *jsontext.Decoder // keeps the longest string of the text, and no more
}

// errNoBackup is io/fs.ErrInvalid: the argument of Copy is at fault, and not the bucket.
var errNoBackup = fmt.Errorf("the source has written no backup: %w", fs.ErrInvalid)

// readBackup reads to the end, and returns errNoBackup if the text is no backup.
func readBackup(r io.Reader) error {
	buffered := bufio.NewReaderSize(r, maxRead) // the decoder reads small pieces
	f := form{jsontext.NewDecoder(buffered, jsontext.AllowDuplicateNames(true))}
	if err := f.check(); err != nil {
		// If the bucket has changed the text, that is the error, and the end of r tells.
		return errors.Join(readAll(r), fmt.Errorf("%w: %w", errNoBackup, err))
	}
	return nil
}

// check requires one object of entries, and behind it the end.
func (f form) check() error {
	if err := f.expect('{'); err != nil {
		return err
	}
	for f.text.PeekKind() == '"' {
		if err := f.entry(); err != nil {
			return err
		}
	}
	if err := f.expect('}'); err != nil {
		return err
	}
	switch _, err := f.text.ReadToken(); {
	case err == nil:
		return errors.New("something follows the object")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// entry requires a name, and a string or a value with a deadline.
func (f form) entry() error {
	if err := f.expect('"'); err != nil {
		return err
	}
	if f.text.PeekKind() == '{' {
		return f.timedValue()
	}
	return f.expect('"')
}

// timedValue requires an object of a value and of the time at which it expires, in any order.
func (f form) timedValue() error {
	if err := f.expect('{'); err != nil {
		return err
	}
	var names [2]string
	for i := range names {
		name, err := f.text.ReadToken()
		if err != nil {
			return err
		}
		names[i] = name.String()
		if err := f.expect('"'); err != nil {
			return err
		}
	}
	if names != [2]string{"value", "expires"} && names != [2]string{"expires", "value"} {
		return fmt.Errorf("an object of %q and %q is no value", names[0], names[1])
	}
	return f.expect('}')
}

// expect reads a token of a kind.
func (f form) expect(kind jsontext.Kind) error {
	switch token, err := f.text.ReadToken(); {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case token.Kind() != kind:
		return fmt.Errorf("%v in the place of %v, before byte %d", token.Kind(), kind, f.text.InputOffset())
	}
	return nil
}

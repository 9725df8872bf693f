package blob

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/windevkay/forge/genie"
)

// A form checks that a text is a backup, in all but one thing that genie.Store.ReadFrom checks, too: that no
// name comes twice. That would need the memory of a map.
type form struct {
	text *jsontext.Decoder // keeps the longest string of the text, and no more
}

// errNoBackup is io/fs.ErrInvalid: the argument of Copy is at fault, and not the bucket.
var errNoBackup = fmt.Errorf("the source has written no backup: %w", fs.ErrInvalid)

// readOwn reads to the end what a source has written, and returns errNoBackup if it is no backup.
func readOwn(r io.Reader) error { return readBackup(r, errNoBackup) }

// readSealed reads a copy to the end, and returns genie.ErrCorrupt if it is no backup.
func readSealed(r io.Reader) error { return readBackup(r, genie.ErrCorrupt) }

// readBackup reads to the end, and returns an error that is otherwise if the text is no backup.
func readBackup(r io.Reader, otherwise error) error {
	buffered := bufio.NewReaderSize(r, maxRead) // the decoder reads small pieces
	f := form{jsontext.NewDecoder(buffered, jsontext.AllowDuplicateNames(true))}
	if err := f.check(); err != nil {
		// If the bucket has changed the text, that is the error, and the end of r tells.
		return errors.Join(readAll(r), fmt.Errorf("%w: %w", otherwise, err))
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
	first, err := f.timedMember("")
	if err == nil {
		_, err = f.timedMember(first)
	}
	if err != nil {
		return err
	}
	return f.expect('}')
}

// timedMember requires a member of a timed value, and returns its name, which must differ from the name before.
func (f form) timedMember(before string) (name string, err error) {
	token, err := f.token('"')
	if err != nil {
		return "", err
	}
	name = token.String()
	if name == before || name != "value" && name != "expires" {
		return "", fmt.Errorf("%q is no member of a value, or comes twice", name)
	}
	token, err = f.token('"')
	if err == nil && name == "expires" && !isTime(token.String()) {
		err = fmt.Errorf("%q is no time of RFC 3339 in UTC", token.String())
	}
	return name, err
}

// timeForm is stricter than time.Parse, which takes an hour of one digit, a comma and other zones, too.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$`)

// isTime reports whether a text is a time as a backup has it.
func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339Nano, text)
	return err == nil && timeForm.MatchString(text)
}

// expect reads a token of a kind.
func (f form) expect(kind jsontext.Kind) error {
	_, err := f.token(kind)
	return err
}

// token reads a token of a kind, and returns it until the next one is read.
func (f form) token(kind jsontext.Kind) (jsontext.Token, error) {
	token, err := f.text.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	case err == nil && token.Kind() != kind:
		err = fmt.Errorf("%v in the place of %v, before byte %d", token.Kind(), kind, f.text.InputOffset())
	}
	return token, err
}

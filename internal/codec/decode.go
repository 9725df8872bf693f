package codec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// A SyntaxError says where text departs from the format.
type SyntaxError struct {
	Offset int64 // bytes before the place
	Err    error
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %v", e.Offset, e.Err) }
func (e *SyntaxError) Unwrap() error { return e.Err }

var (
	errNotObject = errors.New("not a JSON object")
	errNotName   = errors.New("not a name in quotes")
	errNoColon   = errors.New("no colon after a name")
	errNotString = errors.New("not a string")
	errNoComma   = errors.New("neither a comma nor a closing brace after a value")
	errDuplicate = errors.New("duplicate name")
	errTrailing  = errors.New("text after the object")
)

// Decode reads one object from r and passes its members to add, many at a time
// and in their order; add returns how many it has taken, up to a name that was
// there before. It is strict: no duplicates, no values but strings, valid UTF-8,
// nothing but white space after the object. What r holds beyond that is a
// *SyntaxError; what r's Read returns, other than io.EOF, comes back as it is.
//
// Another goroutine reads r, ahead of add, and has ended when Decode returns.
// The slices are add's until it returns.
//
// An object of strings is a small part of JSON: reading it here takes two thirds
// of the time of a decoder for all of it. What is inside the quotes is for
// jsontext to judge, except where it is plain.
func Decode(r io.Reader, add func(keys, values []string) (added int)) error {
	ahead := readAhead(r)
	defer ahead.end()
	for b := range ahead.filled {
		if added := add(b.keys, b.values); added < len(b.keys) {
			return &SyntaxError{b.offsets[added], errDuplicate}
		}
		ahead.free <- b.emptied()
	}
	return ahead.err
}

type decoder struct {
	text   *bufio.Reader
	offset int64 // how much of text has been read

	// For strings that are not plain: as they are in the text, with their
	// quotes, and as they are meant.
	quoted, unquoted []byte
}

func newDecoder(r io.Reader) *decoder {
	return &decoder{text: bufio.NewReaderSize(r, chunk)}
}

// object reads the object and what may follow it. It calls yield for each member
// and ends, without an error, where yield returns false.
func (d *decoder) object(yield func(member) bool) error {
	err := d.members(yield)
	if err == io.EOF {
		return &SyntaxError{d.offset, io.ErrUnexpectedEOF}
	}
	return err
}

func (d *decoder) members(yield func(member) bool) error {
	if err := d.expect('{', errNotObject); err != nil {
		return err
	}
	c, err := d.next()
	if err != nil {
		return err
	}
	if c == '}' {
		return d.end()
	}
	d.unread()
	for {
		m, err := d.member()
		if err != nil || !yield(m) {
			return err
		}
		c, err := d.next()
		switch {
		case err != nil:
			return err
		case c == '}':
			return d.end()
		case c != ',':
			return d.wrong(errNoComma)
		}
	}
}

func (d *decoder) member() (m member, err error) {
	if err := d.expect('"', errNotName); err != nil {
		return m, err
	}
	m.offset = d.offset - 1
	if m.key, err = d.string(); err != nil {
		return m, err
	}
	if err := d.expect(':', errNoColon); err != nil {
		return m, err
	}
	if err := d.expect('"', errNotString); err != nil {
		return m, err
	}
	m.value, err = d.string()
	return m, err
}

// end makes sure that nothing follows.
func (d *decoder) end() error {
	switch _, err := d.next(); err {
	case io.EOF:
		return nil
	case nil:
		return d.wrong(errTrailing)
	default:
		return err
	}
}

// expect reads c, which may come after white space. If there is something else,
// that is err.
func (d *decoder) expect(c byte, err error) error {
	switch found, failed := d.next(); {
	case failed != nil:
		return failed
	case found != c:
		return d.wrong(err)
	}
	return nil
}

// wrong is err with the place of the last byte read.
func (d *decoder) wrong(err error) error { return &SyntaxError{d.offset - 1, err} }

// next reads the next byte that is not white space.
func (d *decoder) next() (byte, error) {
	for {
		c, err := d.text.ReadByte()
		if err != nil {
			return 0, err
		}
		d.offset++
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c, nil
		}
	}
}

// unread takes back the byte that next has read.
func (d *decoder) unread() {
	_ = d.text.UnreadByte()
	d.offset--
}

// string reads the rest of a string whose opening quote has been read.
func (d *decoder) string() (string, error) {
	text, err := d.text.ReadSlice('"')
	if err != nil || !isPlain(text[:len(text)-1]) {
		return d.unusual(text, err)
	}
	d.offset += int64(len(text))
	return string(text[:len(text)-1]), nil
}

// unusual is string where the first ReadSlice for it has found text, which is
// not plain or not the whole, or where it has failed.
func (d *decoder) unusual(text []byte, err error) (string, error) {
	start := d.offset - 1
	d.quoted = append(d.quoted[:0], '"')
	d.quoted = append(d.quoted, text...)
	for err == bufio.ErrBufferFull || err == nil && !isClosed(d.quoted) {
		text, err = d.text.ReadSlice('"')
		d.quoted = append(d.quoted, text...)
	}
	d.offset = start + int64(len(d.quoted))
	if err != nil && err != io.EOF {
		return "", err
	}
	d.unquoted, err = jsontext.AppendUnquote(d.unquoted[:0], d.quoted)
	if err != nil {
		return "", fault(d.quoted, start)
	}
	return unescape(string(d.unquoted)), nil
}

// isClosed reports whether the quote that text ends with closes the string, as
// it does unless a backslash before it makes it a part.
func isClosed(text []byte) bool {
	before := text[:len(text)-1]
	backslashes := len(before) - len(bytes.TrimRight(before, `\`))
	return backslashes%2 == 0
}

// fault returns what is wrong with quoted, a string that starts at start.
func fault(quoted []byte, start int64) error {
	_, err := jsontext.NewDecoder(bytes.NewReader(quoted)).ReadValue()
	if inside, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return &SyntaxError{start + inside.ByteOffset, inside.Err}
	}
	return &SyntaxError{start, err}
}

package codec

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A SyntaxError reports the first place where a text departs from the format.
type SyntaxError struct {
	Offset int64  // the number of bytes before the place
	Line   int    // the line of the place, from 1
	Key    string // the name of the member in error, unescaped, or "" if none is known
	Err    error  // the mistake
}

// Error returns the line, the offset and the mistake.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, byte %d: %v", e.Line, e.Offset, e.Err)
}

// Unwrap returns the mistake.
func (e *SyntaxError) Unwrap() error { return e.Err }

var (
	errNotObject = errors.New("not a JSON object")
	errNotName   = errors.New("not a name in double quotes")
	errLastComma = errors.New("a comma after the last member")
	errTrailing  = errors.New("text after the object")
	errComment   = errors.New("a comment, which JSON does not have")

	errMark  = errors.New("a byte order mark: the text must be UTF-8 without one")
	errUTF16 = errors.New("text in UTF-16: it must be UTF-8")
	errUTF32 = errors.New("text in UTF-32: it must be UTF-8")
)

// errorAt returns a SyntaxError for err at offset, in the current line.
func (d *decoder) errorAt(offset int64, err error) error {
	return &SyntaxError{Offset: offset, Line: d.line, Key: d.key, Err: err}
}

// wrong returns the error for found, the last byte read: err, unless found begins
// a comment.
func (d *decoder) wrong(found byte, err error) error {
	if found == '#' || found == '/' && (d.follows("/") || d.follows("*")) {
		err = errComment
	}
	return d.errorAt(d.offset-1, err)
}

// notObject returns the error for a text whose first byte is found, or whose
// first byte after the brace.
func (d *decoder) notObject(found byte) error {
	if err := d.encoding(found); err != nil {
		return d.wrong(found, err)
	}
	if kind := d.kind(found); kind != "" {
		return d.wrong(found, fmt.Errorf("%s, %w", kind, errNotObject))
	}
	return d.wrong(found, errNotObject)
}

func (d *decoder) notName(found byte) error {
	if found == '}' {
		return d.wrong(found, errLastComma)
	}
	return d.wrong(found, errNotName)
}

func (d *decoder) noColon(found byte) error {
	return d.wrong(found, fmt.Errorf("no colon after the name %s", short(d.key)))
}

func (d *decoder) notString(found byte) error {
	problem := "is not a string in double quotes"
	if kind := d.kind(found); kind != "" {
		problem = "is " + kind + ", not a string"
	} else if found == ',' || found == '}' {
		problem = "is missing"
	}
	return d.wrong(found, fmt.Errorf("the value of %s %s", short(d.key), problem))
}

// notTimed returns the error for a value that is an object, but not of a string and a
// deadline.
func (d *decoder) notTimed(found byte) error { return d.wrong(found, d.ofValue(errNotTimed)) }

// ofValue says of which value err is.
func (d *decoder) ofValue(err error) error {
	return fmt.Errorf("the value of %s: %w", short(d.key), err)
}

func (d *decoder) noComma(found byte) error {
	return d.wrong(found, fmt.Errorf("neither a comma nor a closing brace after the value of %s", short(d.key)))
}

func (d *decoder) trailing(found byte) error { return d.wrong(found, errTrailing) }

// badString returns the error for the string d.quoted, which begins at start and
// which jsontext.AppendUnquote refuses with err. AppendUnquote gives no place.
func (d *decoder) badString(start int64, err error) error {
	fault := &jsontext.SyntacticError{Err: err}
	_, err = jsontext.NewDecoder(bytes.NewReader(d.quoted)).ReadValue()
	errors.As(err, &fault)
	if err = fault.Err; d.hasKey {
		err = d.ofValue(err)
	}
	return d.errorAt(start+fault.ByteOffset, err)
}

func duplicate(key string, at place) error {
	return &SyntaxError{Offset: at.offset, Line: at.line, Key: key, Err: fmt.Errorf("duplicate name %s", short(key))}
}

// kind returns the kind of JSON value that begins with found, the last byte read,
// or "" if found begins none.
func (d *decoder) kind(found byte) string {
	switch {
	case found == '"':
		return "a string"
	case found == '[':
		return "a list"
	case found == '{':
		return "an object"
	case found == '-' || '0' <= found && found <= '9':
		return "a number"
	}
	for _, word := range []string{"null", "true", "false"} {
		if found == word[0] && d.follows(word[1:]) {
			return word
		}
	}
	return ""
}

// byteOrderMarks are in the order of comparison: the mark of UTF-32 in
// little-endian order begins with the mark of UTF-16.
var byteOrderMarks = []struct {
	mark string
	err  error
}{
	{"\xef\xbb\xbf", errMark},
	{"\xff\xfe\x00\x00", errUTF32},
	{"\x00\x00\xfe\xff", errUTF32},
	{"\xff\xfe", errUTF16},
	{"\xfe\xff", errUTF16},
}

// encoding returns the error for a text whose first byte is found, or whose first
// byte after the brace, if the text is not in plain UTF-8. Without a mark, the
// NUL bytes of ASCII characters tell: one in UTF-16, three in UTF-32.
func (d *decoder) encoding(found byte) error {
	ahead, _ := d.text.Peek(3) // fewer at the end of the text
	text := string(append([]byte{found}, ahead...))
	for _, m := range byteOrderMarks {
		if strings.HasPrefix(text, m.mark) {
			return m.err
		}
	}
	ascii := strings.TrimLeft(text, "\x00")
	switch nuls := len(text) - len(ascii); {
	case ascii == "" || !strings.Contains(" \t\r\n{}\"", ascii[:1]):
		return nil
	case nuls == 1:
		return errUTF16
	case nuls == 3:
		return errUTF32
	}
	return nil
}

// follows reports whether the unread text begins with s.
func (d *decoder) follows(s string) bool {
	ahead, _ := d.text.Peek(len(s)) // fewer at the end of the text
	return string(ahead) == s
}

// short returns key in quotes, cut to 40 runes.
func short(key string) string {
	const limit = 40
	runes := 0
	for i := range key {
		if runes++; runes > limit {
			return strconv.Quote(key[:i]) + "…"
		}
	}
	return strconv.Quote(key)
}

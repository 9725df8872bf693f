package codec

import (
	"bufio"
	"bytes"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Decode reads one object from r and passes its members to add, many at a time,
// in the order of the text. deadlines is nil if none of these members has one. add returns
// the number of members before the first duplicate name. Decode is strict: no duplicate
// names, no values but strings and objects of a string and a deadline, valid UTF-8, only
// white space after the object. Any other text gives a *SyntaxError. Decode returns an error of r's Read, except io.EOF, unchanged.
//
// Another goroutine reads r, ahead of add; when Decode returns, it has ended. add
// may use the slices until it returns.
//
// Decode has its own parser: an object of strings is a small part of JSON, and a
// parser for all of JSON is slower (go test -bench Decode ./internal/codec
// compares encoding/json). Strings that are not plain are left to jsontext.
func Decode(r io.Reader, add addFunc) error {
	d := newDecoder(r)
	if err := d.addAll(add); err != nil {
		return err
	}
	return d.unlessCut(d.end())
}

// An addFunc takes members of an object.
type addFunc = func(keys, values []string, deadlines []int64) (added int)

// addAll passes the members of the object to add. The goroutine that reads ahead has
// ended when addAll returns.
func (d *decoder) addAll(add addFunc) error {
	ahead := readAhead(d)
	defer ahead.end()
	for b := range ahead.filled {
		if added := add(b.keys, b.values, b.deadlines); added < len(b.keys) {
			return duplicate(b.keys[added], b.places[added])
		}
		ahead.free <- b.emptied()
	}
	if ahead.panicked != nil {
		panic(ahead.panicked) // where the caller can recover
	}
	return ahead.err
}

// A decoder parses one object.
type decoder struct {
	text   *bufio.Reader
	sums   *summer // what text reads from
	offset int64   // the number of bytes read
	line   int     // of the last byte read; only white space has line feeds

	// For error messages: whether the name of the current member has been read,
	// and the name.
	hasKey bool
	key    string

	// Buffers for a string that is not plain: as in the text, in its quotes, and
	// without escapes.
	quoted, unquoted []byte
}

func newDecoder(r io.Reader) *decoder {
	sums := &summer{r: r, last: make([]byte, 0, chunk)}
	return &decoder{text: bufio.NewReaderSize(sums, chunk), sums: sums, line: 1}
}

// object reads the object. object calls yield for each member, and returns nil as
// soon as yield returns false.
func (d *decoder) object(yield func(member) bool) error { return d.unlessCut(d.members(yield)) }

// unlessCut returns err, or the error of a text that is cut off.
func (d *decoder) unlessCut(err error) error {
	if err == io.EOF {
		return d.errorAt(d.offset, io.ErrUnexpectedEOF)
	}
	return err
}

func (d *decoder) members(yield func(member) bool) error {
	if err := d.expect('{', (*decoder).notObject); err != nil {
		return err
	}
	switch c, err := d.next(); {
	case err != nil:
		return err
	case c == '}':
		return nil
	case c == 0: // the brace may have been UTF-16
		return d.notObject(c)
	}
	d.unread()
	for {
		m, err := d.member()
		if err != nil || !yield(m) {
			return err
		}
		switch c, err := d.next(); {
		case err != nil:
			return err
		case c == '}':
			return nil
		case c != ',':
			return d.noComma(c)
		}
	}
}

func (d *decoder) member() (m member, err error) {
	d.hasKey, d.key = false, ""
	if err := d.expect('"', (*decoder).notName); err != nil {
		return m, err
	}
	m.at = place{d.offset - 1, d.line}
	if m.key, err = d.string(); err != nil {
		return m, err
	}
	d.hasKey, d.key = true, m.key
	if err := d.expect(':', (*decoder).noColon); err != nil {
		return m, err
	}
	switch c, err := d.next(); {
	case err != nil:
		return m, err
	case c == '{':
		m.value, m.deadline, err = d.timedValue()
		return m, err
	case c != '"':
		return m, d.notString(c)
	}
	m.value, err = d.string()
	return m, err
}

// timedValue reads the rest of a value with a deadline, after its brace. The two members
// may be in any order, as a program that sorts names leaves them.
func (d *decoder) timedValue() (value string, deadline int64, err error) {
	first, err := d.timedMember("", &value, &deadline)
	if err != nil {
		return "", 0, err
	}
	if err := d.expect(',', (*decoder).notTimed); err != nil {
		return "", 0, err
	}
	if _, err := d.timedMember(first, &value, &deadline); err != nil {
		return "", 0, err
	}
	return value, deadline, d.expect('}', (*decoder).notTimed)
}

// timedMember reads a member of a value with a deadline, and returns the name, which must
// differ from the name before.
func (d *decoder) timedMember(before string, value *string, deadline *int64) (name string, err error) {
	name, at, err := d.quotedString()
	switch {
	case err != nil:
		return "", err
	case name == before || name != valueName && name != expiresName:
		return "", d.errorAt(at, d.ofValue(errNotTimed))
	}
	if err := d.expect(':', (*decoder).notTimed); err != nil {
		return "", err
	}
	text, at, err := d.quotedString()
	switch {
	case err != nil:
		return "", err
	case name == valueName:
		*value = text
		return name, nil
	}
	if *deadline, err = parseDeadline(text); err != nil {
		return "", d.errorAt(at, d.ofValue(err))
	}
	return name, nil
}

// quotedString reads a string that must come next, and returns the place of its quote.
func (d *decoder) quotedString() (text string, at int64, err error) {
	if err := d.expect('"', (*decoder).notTimed); err != nil {
		return "", 0, err
	}
	at = d.offset - 1
	text, err = d.string()
	return text, at, err
}

// end requires that only white space follows.
func (d *decoder) end() error {
	d.hasKey, d.key = false, ""
	switch c, err := d.next(); err {
	case io.EOF:
		return nil
	case nil:
		return d.trailing(c)
	default:
		return err
	}
}

// expect reads c, after any white space. For any other byte, expect returns the
// error that otherwise makes of it.
func (d *decoder) expect(c byte, otherwise func(d *decoder, found byte) error) error {
	switch found, err := d.next(); {
	case err != nil:
		return err
	case found != c:
		return otherwise(d, found)
	}
	return nil
}

// next reads the next byte that is not white space.
func (d *decoder) next() (byte, error) {
	for {
		c, err := d.text.ReadByte()
		if err != nil {
			return c, err
		}
		d.offset++
		switch c {
		case '\n':
			d.line++
		case ' ', '\t', '\r':
		default:
			return c, nil
		}
	}
}

// unread takes back the byte that next has read.
func (d *decoder) unread() {
	_ = d.text.UnreadByte()
	d.offset--
}

// string reads the rest of a string, after the opening quote. With an error, the
// result has no meaning. unusual reads any string; the shorter way for plain
// strings saves time alone (go test -bench Decode ./internal/codec).
func (d *decoder) string() (string, error) {
	text, err := d.text.ReadSlice('"')
	if err != nil || !isPlain(text[:len(text)-1]) {
		return d.unusual(text, err)
	}
	d.offset += int64(len(text))
	return string(text[:len(text)-1]), nil
}

// unusual continues string, after a ReadSlice that returned text and err, if text
// is not plain or not yet the whole string, or if ReadSlice failed.
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
		return "", d.badString(start, err)
	}
	return unescape(string(d.unquoted)), nil
}

// isClosed reports whether the last quote of text ends the string. After an odd
// number of backslashes, the quote is part of the string.
func isClosed(text []byte) bool {
	before := text[:len(text)-1]
	return len(bytes.TrimRight(before, `\`))%2 == len(before)%2
}

// Package codec is the format of the backup file: one JSON object whose names
// and values are the strings of the map. docs/format.md describes it exactly.
//
// JSON has no place for strings that are not UTF-8, and Go strings need not be;
// see escape for what becomes of those. Every other map is written the way
// anybody would write it.
package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"

	"github.com/go-json-experiment/json/jsontext"
)

// chunk is how much is gathered before it is written. After each the encoder
// lets other goroutines run: it never blocks by itself, and where cores are few
// the callers of a store would wait for it.
const chunk = 64 << 10

// A SyntaxError says where text departs from the format.
type SyntaxError struct {
	Offset int64 // bytes before the place
	Err    error
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %v", e.Offset, e.Err) }
func (e *SyntaxError) Unwrap() error { return e.Err }

// Encode writes entries to w and returns how many bytes w took. Its memory does
// not grow with the number of entries. The error is w's own.
func Encode(w io.Writer, entries iter.Seq2[string, string]) (written int64, err error) {
	buf := make([]byte, 0, chunk+chunk/8)
	flush := func() bool {
		var n int
		n, err = w.Write(buf)
		written += int64(n)
		buf = buf[:0]
		runtime.Gosched()
		return err == nil
	}
	before := byte('{')
	for key, value := range entries {
		buf = append(buf, before)
		buf = appendString(buf, key)
		buf = append(buf, ':')
		buf = appendString(buf, value)
		if before = ','; len(buf) >= chunk && !flush() {
			return written, err
		}
	}
	if before == '{' {
		buf = append(buf, '{')
	}
	buf = append(buf, "}\n"...)
	flush()
	return written, err
}

func appendString(buf []byte, s string) []byte {
	if !isMarked(s) {
		if quoted, err := jsontext.AppendQuote(buf, s); err == nil {
			return quoted
		}
	}
	quoted, _ := jsontext.AppendQuote(buf, escape(s)) // ASCII: no error to come
	return quoted
}

// Decode reads one object from r and calls set for each of its members, in
// their order; set tells whether the name was there before. It is strict: no
// duplicates, no values but strings, valid UTF-8, nothing but white space after
// the object. What r holds beyond that is a *SyntaxError; what r's Read
// returns, other than io.EOF, comes back wrapped.
func Decode(r io.Reader, set func(key, value string) (existed bool)) error {
	// The decoder's own check for duplicates would keep every name a second
	// time; the map that set fills knows them already.
	d := decoder{json: jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true))}
	if err := d.object(set); err != nil {
		return d.located(err)
	}
	return nil
}

var (
	errNotObject = errors.New("not a JSON object")
	errNotString = errors.New("not a string")
	errDuplicate = errors.New("duplicate name")
	errTrailing  = errors.New("text after the object")
)

type decoder struct {
	json    *jsontext.Decoder
	scratch []byte // for strings with escapes
}

func (d *decoder) object(set func(key, value string) (existed bool)) error {
	if kind := d.json.PeekKind(); kind != '{' && kind != 0 {
		return d.here(errNotObject)
	}
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	for d.json.PeekKind() == '"' {
		start := d.offset()
		key, err := d.string()
		if err != nil {
			return err
		}
		value, err := d.string()
		if err != nil {
			return err
		}
		if set(key, value) {
			return &SyntaxError{start, errDuplicate}
		}
	}
	if _, err := d.json.ReadToken(); err != nil { // the closing brace
		return err
	}
	if kind := d.json.PeekKind(); kind != 0 {
		return d.here(errTrailing)
	}
	if _, err := d.json.ReadToken(); err != io.EOF {
		return err
	}
	return nil
}

// string reads the next string. It looks before it reads: a value of another
// kind may be as large and as deeply nested as it likes.
func (d *decoder) string() (string, error) {
	if kind := d.json.PeekKind(); kind != '"' && kind != 0 {
		return "", d.here(errNotString)
	}
	quoted, err := d.json.ReadValue()
	if err != nil {
		return "", err
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], quoted)
	return unescape(string(d.scratch)), err
}

func (d *decoder) here(err error) error { return &SyntaxError{d.offset(), err} }

// offset is where the next token starts, as far as that is in the buffer.
func (d *decoder) offset() int64 {
	rest := d.json.UnreadBuffer()
	skipped := len(rest) - len(bytes.TrimLeft(rest, " \t\r\n,:"))
	return d.json.InputOffset() + int64(skipped)
}

// located turns what the JSON decoder says into what Decode promises.
func (d *decoder) located(err error) error {
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		return err
	}
	var grammar *jsontext.SyntacticError
	if errors.As(err, &grammar) {
		return &SyntaxError{grammar.ByteOffset, grammar.Err}
	}
	if err == io.EOF { // no text at all
		return &SyntaxError{d.json.InputOffset(), io.ErrUnexpectedEOF}
	}
	return err
}

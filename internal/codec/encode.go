// Package codec is the format of the backup file: one JSON object whose names
// and values are the strings of the map. The value of an entry with a deadline is an
// object with the string and the deadline. docs/format.md describes the format exactly.
//
// Go strings may hold any bytes, JSON strings only UTF-8. Strings that are not
// UTF-8 are escaped; see escape. All other maps are written as by any encoder.
package codec

import (
	"hash/crc32"
	"io"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// An Entry is a member of the object.
type Entry struct {
	Key, Value string
	Deadline   int64 // in nanoseconds since 1970, or 0
}

// chunk is the size of a write, and of the buffer that Decode reads into.
const chunk = 64 << 10

// Encode writes entries to w and returns the number of bytes that w took. Its
// memory does not grow with the number of entries. The error is the error of w,
// or io.ErrShortWrite if w took fewer bytes without an error.
func Encode(w io.Writer, entries iter.Seq[Entry]) (written int64, err error) {
	written, _, err = EncodeBase(w, entries)
	return written, err
}

// EncodeBase is Encode for an object that steps may follow. The chain is where the
// first step goes on.
func EncodeBase(w io.Writer, entries iter.Seq[Entry]) (written int64, chain Chain, err error) {
	e := encoder{w: w, buf: make([]byte, 0, chunk+chunk/8)}
	before := byte('{')
	for entry := range entries {
		e.buf = append(e.buf, before)
		e.buf = appendMember(e.buf, entry)
		if before = ','; len(e.buf) >= chunk && !e.flush(len(e.buf)) {
			return e.written, chain, e.err
		}
	}
	if before == '{' {
		e.buf = append(e.buf, '{')
	}
	e.buf = append(e.buf, "}\n"...)
	e.flush(len(e.buf) - len("\n"))
	return e.written, Chain{sum: e.sum}, e.err
}

// An encoder writes text in chunks and sums it up.
type encoder struct {
	w       io.Writer
	buf     []byte
	written int64
	sum     uint32
	err     error
}

// flush writes the buffer, of which the first summed bytes count for the sum, and
// reports whether that succeeded.
func (e *encoder) flush(summed int) bool {
	e.sum = crc32.Update(e.sum, castagnoli, e.buf[:summed])
	n, err := e.w.Write(e.buf)
	e.written += int64(n)
	if err == nil && n < len(e.buf) {
		err = io.ErrShortWrite // a Writer must not do this, but may
	}
	e.buf, e.err = e.buf[:0], err
	return err == nil
}

// appendMember appends the name and the value of e.
func appendMember(buf []byte, e Entry) []byte {
	buf = appendString(buf, e.Key)
	buf = append(buf, ':')
	if e.Deadline == 0 {
		return appendString(buf, e.Value)
	}
	buf = append(buf, valueBegin...)
	buf = appendString(buf, e.Value)
	buf = append(buf, expiresBegin...)
	buf = appendDeadline(buf, e.Deadline)
	return append(buf, '}')
}

// appendString appends s in quotes. Most strings need no escapes, so appendString
// copies s before it looks for characters to escape. The test saves time alone:
// jsontext.AppendQuote writes plain strings the same way, but more slowly
// (go test -bench Encode ./internal/codec).
func appendString(buf []byte, s string) []byte {
	quoted := append(buf, '"')
	quoted = append(quoted, s...)
	if isPlain(quoted[len(buf)+1:]) {
		return append(quoted, '"')
	}
	return appendUnusual(buf, s)
}

func appendUnusual(buf []byte, s string) []byte {
	if !isEscaped(s) {
		if quoted, err := jsontext.AppendQuote(buf, s); err == nil {
			return quoted
		}
	}
	quoted, _ := jsontext.AppendQuote(buf, escape(s)) // ASCII, so no error
	return quoted
}

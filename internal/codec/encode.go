// Package codec is the format of the backup file: one JSON object whose names
// and values are the strings of the map. docs/format.md describes it exactly.
//
// Go strings may hold any bytes, JSON strings only UTF-8. Strings that are not
// UTF-8 are escaped; see escape. All other maps are written as by any encoder.
package codec

import (
	"io"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// chunk is the size of a write, and of the buffer that Decode reads into.
const chunk = 64 << 10

// Encode writes entries to w and returns the number of bytes that w took. Its
// memory does not grow with the number of entries. The error is the error of w,
// or io.ErrShortWrite if w took fewer bytes without an error.
func Encode(w io.Writer, entries iter.Seq2[string, string]) (written int64, err error) {
	buf := make([]byte, 0, chunk+chunk/8)
	flush := func() bool {
		var n int
		n, err = w.Write(buf)
		written += int64(n)
		if err == nil && n < len(buf) {
			err = io.ErrShortWrite // a Writer must not do this, but may
		}
		buf = buf[:0]
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

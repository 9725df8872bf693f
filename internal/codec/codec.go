// Package codec is the format of the backup file: one JSON object whose names
// and values are the strings of the map. docs/format.md describes it exactly.
//
// JSON has no place for strings that are not UTF-8, and Go strings need not be;
// see escape for what becomes of those. Every other map is written the way
// anybody would write it.
package codec

import (
	"io"
	"iter"
	"runtime"

	"github.com/go-json-experiment/json/jsontext"
)

// chunk is how much is gathered before it is written. After each the encoder
// lets other goroutines run: it never blocks by itself, and where cores are few
// the callers of a store would wait for it.
const chunk = 64 << 10

// Encode writes entries to w and returns how many bytes w took. Its memory does
// not grow with the number of entries. The error is w's own, or io.ErrShortWrite
// where w took less and did not say why.
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

// appendString appends s in quotes. It copies s before it looks what there is to
// escape: in most strings, nothing.
func appendString(buf []byte, s string) []byte {
	quoted := append(buf, '"')
	quoted = append(quoted, s...)
	if isPlain(quoted[len(buf)+1:]) {
		return append(quoted, '"')
	}
	return appendUnusual(buf, s)
}

func appendUnusual(buf []byte, s string) []byte {
	if !isMarked(s) {
		if quoted, err := jsontext.AppendQuote(buf, s); err == nil {
			return quoted
		}
	}
	quoted, _ := jsontext.AppendQuote(buf, escape(s)) // ASCII: no error to come
	return quoted
}

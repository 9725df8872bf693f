package codec

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// isPlain reports whether text stands for itself between quotes, and all of it
// is ASCII. It looks at eight bytes at a time.
func isPlain(text []byte) bool {
	for ; len(text) >= 8; text = text[8:] {
		if !arePlain(binary.LittleEndian.Uint64(text)) {
			return false
		}
	}
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// arePlain is isPlain for the eight bytes of x. A byte gets its high bit set in
// control where it is less than a space, in quote and backslash where it is one.
// A byte may also be mistaken for one of those, but only above one that is.
func arePlain(x uint64) bool {
	control := x - ' '*lowBits
	quote := (x ^ '"'*lowBits) - lowBits
	backslash := (x ^ '\\'*lowBits) - lowBits
	return (x|control|quote|backslash)&highBits == 0
}

package codec

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// isPlain reports whether text is ASCII without quotes, backslashes and control
// characters, and so is the same inside quotes. isPlain looks at eight bytes at a
// time while it can; the second loop would do for any length, but more slowly.
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

// arePlain is isPlain for the eight bytes of x. In control, the high bit of a byte
// flags a control character; in quote and backslash, a quote and a backslash. A
// borrow can flag the next higher byte wrongly, but only if the byte below was
// flagged rightly, so the answer for the whole word is still right.
func arePlain(x uint64) bool {
	control := x - ' '*lowBits
	quote := (x ^ '"'*lowBits) - lowBits
	backslash := (x ^ '\\'*lowBits) - lowBits
	return (x|control|quote|backslash)&highBits == 0
}

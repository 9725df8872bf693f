package codec

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// mark starts a string that is not what it says. It has a NUL in it, which
// hardly any text has; a string that does start like this is escaped itself.
const mark = "\x00b64:"

func isMarked(s string) bool { return strings.HasPrefix(s, mark) }

func needsEscape(s string) bool { return isMarked(s) || !utf8.ValidString(s) }

// escape returns the text that stands for s, which needs it.
func escape(s string) string {
	return mark + base64.StdEncoding.EncodeToString([]byte(s))
}

// unescape returns the string that text stands for: what escape made text of,
// or text itself. So files that were never escaped read as they are, even
// where a string happens to start with the mark.
func unescape(text string) string {
	if !isMarked(text) {
		return text
	}
	b, err := base64.StdEncoding.DecodeString(text[len(mark):])
	if s := string(b); err == nil && needsEscape(s) && escape(s) == text {
		return s
	}
	return text
}

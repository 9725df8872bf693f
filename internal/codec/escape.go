package codec

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// escapePrefix marks the text of an escaped string. The prefix has a NUL, which
// is rare in text; a string that begins with the prefix is escaped as well.
const escapePrefix = "\x00b64:"

func isEscaped(text string) bool { return strings.HasPrefix(text, escapePrefix) }

func needsEscape(s string) bool { return isEscaped(s) || !utf8.ValidString(s) }

// escape returns the text to write for s. The caller checks needsEscape.
func escape(s string) string {
	return escapePrefix + base64.StdEncoding.EncodeToString([]byte(s))
}

// unescape returns the string to read for text: the string that escape turns into
// exactly this text or, if no string gives it, text itself. So unescape leaves
// the files of other programs as they are, even if a string begins with
// escapePrefix.
func unescape(text string) string {
	if !isEscaped(text) {
		return text
	}
	// No error to check: if text is not base64, the comparison fails.
	b, _ := base64.StdEncoding.DecodeString(text[len(escapePrefix):])
	if s := string(b); needsEscape(s) && escape(s) == text {
		return s
	}
	return text
}

package codec

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// The round trips cannot tell whether isPlain is true for all plain text: a string
// taken for unusual has the same text, only later.
func TestIsPlain(t *testing.T) {
	for length := range 26 {
		text := bytes.Repeat([]byte("~"), length)
		require.True(t, isPlain(text), "%d bytes", length)
		for at := range length {
			for b := range 256 {
				text[at] = byte(b)
				want := b >= ' ' && b <= '~' && b != '"' && b != '\\' || b == '\x7f'
				if isPlain(text) != want { // require would take longer
					require.Fail(t, "isPlain", "%q: not %v", text, want)
				}
			}
			text[at] = '~'
		}
	}
}

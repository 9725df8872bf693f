package codec_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/codec"
)

// mark begins the text of an escaped string.
const mark = "\x00b64:"

// pairs yields the entries of a list: key, value, key, value.
func pairs(s ...string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for i := 0; i < len(s); i += 2 {
			if !yield(s[i], s[i+1]) {
				return
			}
		}
	}
}

// untimed returns entries without deadlines.
func untimed(entries iter.Seq2[string, string]) iter.Seq[codec.Entry] {
	return func(yield func(codec.Entry) bool) {
		for key, value := range entries {
			if !yield(codec.Entry{Key: key, Value: value}) {
				return
			}
		}
	}
}

func encode(t require.TestingT, entries iter.Seq2[string, string]) string {
	return encodeEntries(t, untimed(entries))
}

func encodeEntries(t require.TestingT, entries iter.Seq[codec.Entry]) string {
	var text bytes.Buffer
	n, err := codec.Encode(&text, entries)
	require.NoError(t, err)
	require.EqualValues(t, text.Len(), n)
	return text.String()
}

func TestEncodeWritesOneObject(t *testing.T) {
	require.Equal(t, "{}\n", encode(t, pairs()))
	require.Equal(t, `{"a":"b"}`+"\n", encode(t, pairs("a", "b")))
	require.Equal(t, `{"b":"","":"a","x y":"z"}`+"\n", encode(t, pairs("b", "", "", "a", "x y", "z")))
}

func TestEncodeOfOneString(t *testing.T) {
	for _, c := range []struct{ name, s, quoted string }{
		{"printable ASCII", " !#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~", "\" !#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~\""},
		{"quote and backslash", `a"b\c`, `"a\"b\\c"`},
		{"short escapes", "\b\t\n\f\r", `"\b\t\n\f\r"`},
		{"other controls", "\x00\x01\x1f", `"\u0000\u0001\u001f"`},
		{"delete", "\x7f", "\"\x7f\""},
		{"beyond ASCII", "é鍵🔑", `"é鍵🔑"`},
		{"line separators", "\u2028\u2029", "\"\u2028\u2029\""},
		{"byte order mark", "\ufeff", "\"\ufeff\""},
		{"replacement character", "\ufffd", "\"\ufffd\""},
		{"not a character", "\uffff\U0010ffff", "\"\uffff\U0010ffff\""},
		{"invalid UTF-8", "\xff", `"\u0000b64:/w=="`},
		{"invalid at the end of plain text", "12345678\x80", `"\u0000b64:MTIzNDU2NziA"`},
		{"truncated sequence", "\xc3", `"\u0000b64:ww=="`},
		{"overlong", "\xc0\x80", `"\u0000b64:wIA="`},
		{"half a surrogate pair", "\xed\xa0\x80", `"\u0000b64:7aCA"`},
		{"beyond Unicode", "\xf4\x90\x80\x80", `"\u0000b64:9JCAgA=="`},
		{"the mark", mark, `"\u0000b64:AGI2NDo="`},
		{"text that looks escaped", mark + "YQ==", `"\u0000b64:AGI2NDpZUT09"`},
		{"almost the mark", "\x00b64", `"\u0000b64"`},
		{"the mark elsewhere", "a" + mark, `"a\u0000b64:"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, "{"+c.quoted+":"+c.quoted+"}\n", encode(t, pairs(c.s, c.s)))
			require.Equal(t, map[string]string{c.s: c.s}, decode(t, "{"+c.quoted+":"+c.quoted+"}"))
		})
	}
}

// The check for plain text looks at eight bytes at a time, so the test tries every
// byte at every place.
func TestEncodeLooksAtEveryByte(t *testing.T) {
	for _, length := range []int{1, 7, 8, 9, 16, 17} {
		for at := range length {
			for b := range 256 {
				s := []byte(strings.Repeat("~", length))
				s[at] = byte(b)
				require.Equal(t, quoted(string(s)), encodedKey(t, string(s)), "%q", s)
			}
		}
	}
	require.Equal(t, quoted(allButOne), encodedKey(t, allButOne))
}

// allButOne is plain but for the last byte.
var allButOne = strings.Repeat("plain", 5000) + "\x01"

func encodedKey(t *testing.T, s string) string {
	text := encode(t, pairs(s, ""))
	return strings.TrimSuffix(strings.TrimPrefix(text, "{"), `:""}`+"\n")
}

// quoted returns the text that Encode writes for s, by the standard library.
func quoted(s string) string {
	if s != strings.ToValidUTF8(s, "") || strings.HasPrefix(s, mark) {
		return `"\u0000b64:` + base64.StdEncoding.EncodeToString([]byte(s)) + `"`
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSuffix(text.String(), "\n")
}

// numbered yields n entries of 64 bytes in the text.
func numbered(n int) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for i := range n {
			if !yield(fmt.Sprintf("key:%09d", i), strings.Repeat("v", 44)) {
				return
			}
		}
	}
}

// A chunkWriter takes whole writes, but only some bytes of the failing write.
type chunkWriter struct {
	failing, some int
	err           error
	writes, took  int
}

func (w *chunkWriter) Write(b []byte) (int, error) {
	w.writes++
	n := len(b)
	if w.writes-1 == w.failing {
		n = min(n, w.some)
	}
	w.took += n
	if w.writes-1 == w.failing {
		return n, w.err
	}
	return n, nil
}

func TestEncodeReportsWhatTheWriterTook(t *testing.T) {
	broken := errors.New("broken")
	const entries = 6000 // six chunks
	for _, c := range []struct {
		name string
		some int
		err  error
		want error
	}{
		{"an error at once", 0, broken, broken},
		{"an error after some bytes", 1000, broken, broken},
		{"an error after all of them", 1 << 20, broken, broken},
		{"too few bytes, no error", 10, nil, io.ErrShortWrite},
		{"no bytes, no error", 0, nil, io.ErrShortWrite},
	} {
		t.Run(c.name, func(t *testing.T) {
			failures := 0
			for failing := 0; ; failing++ {
				w := &chunkWriter{failing: failing, some: c.some, err: c.err}
				n, err := codec.Encode(w, untimed(numbered(entries)))
				require.EqualValues(t, w.took, n)
				if w.writes <= failing {
					require.NoError(t, err)
					break
				}
				require.Equal(t, c.want, err)
				require.Equal(t, failing+1, w.writes, "no write after the one that failed")
				failures++
			}
			require.Greater(t, failures, 5)
		})
	}
}

func TestEncodeOfNothingReportsAnError(t *testing.T) {
	broken := errors.New("broken")
	n, err := codec.Encode(&chunkWriter{some: 1, err: broken}, untimed(pairs()))
	require.Equal(t, broken, err)
	require.EqualValues(t, 1, n)
}

// Encode writes as soon as 64 KiB are full, neither earlier nor later.
func TestEncodeWritesChunks(t *testing.T) {
	const chunk = 64 << 10
	value := strings.Repeat("v", chunk-len(`{"k":""`))
	for _, c := range []struct {
		name   string
		value  string
		writes []int
	}{
		{"exactly a chunk", value, []int{chunk, len(`,"l":""}`) + 1}},
		{"a byte less", value[1:], []int{chunk - 1 + len(`,"l":""`), len("}\n")}},
		{"a byte more", value + "v", []int{chunk + 1, len(`,"l":""}`) + 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var writes sizesWriter
			_, err := codec.Encode(&writes, untimed(pairs("k", c.value, "l", "")))
			require.NoError(t, err)
			require.Equal(t, c.writes, []int(writes))
		})
	}
}

// A sizesWriter holds the sizes of the writes.
type sizesWriter []int

func (w *sizesWriter) Write(b []byte) (int, error) {
	*w = append(*w, len(b))
	return len(b), nil
}

// allocated returns the number of bytes that f allocates.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func TestEncodeAllocatesTheSameForAnySize(t *testing.T) {
	cost := func(n int) int {
		entries := maps.Collect(numbered(n))
		return allocated(func() { _, _ = codec.Encode(io.Discard, untimed(maps.All(entries))) })
	}
	require.Less(t, cost(1_000), 128<<10)
	require.Less(t, cost(100_000), 128<<10)
}

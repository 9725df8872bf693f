package codec_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/windevkay/forge/genie/internal/codec"
)

// decodeFrom returns the values without their deadlines.
func decodeFrom(r io.Reader) (map[string]string, error) {
	entries, err := decodeEntries(r)
	m := map[string]string{}
	for key, e := range entries {
		m[key] = e.Value
	}
	return m, err
}

func decodeEntries(r io.Reader) (map[string]codec.Entry, error) {
	m := map[string]codec.Entry{}
	err := codec.Decode(r, addTo(m))
	return m, err
}

// addTo returns a function for Decode that adds members to m.
func addTo(m map[string]codec.Entry) func(keys, values []string, deadlines []int64) int {
	return func(keys, values []string, deadlines []int64) int {
		for i, key := range keys {
			if _, existed := m[key]; existed {
				return i
			}
			e := codec.Entry{Key: key, Value: values[i]}
			if deadlines != nil {
				e.Deadline = deadlines[i]
			}
			m[key] = e
		}
		return len(keys)
	}
}

func all(keys, _ []string, _ []int64) (added int) { return len(keys) }

func decode(t require.TestingT, text string) map[string]string {
	m, err := decodeFrom(strings.NewReader(text))
	require.NoError(t, err, "%.100q", text)
	return m
}

func TestDecodeAcceptsAllThatIsInTheFormat(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       map[string]string
	}{
		{"nothing in it", "{}", map[string]string{}},
		{"white space", " \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n\"b\" \t\r\n, \"c\":\"d\"\n\n}\r\n \t", map[string]string{"a": "b", "c": "d"}},
		{"white space in nothing", "{ \n }", map[string]string{}},
		{"no newline at the end", `{"a":"b"}`, map[string]string{"a": "b"}},
		{"empty strings", `{"":""}`, map[string]string{"": ""}},
		{"every escape", `{"\"\\\/\b\f\n\r\t":"\u0041\u00e9\uABCD\uabcd"}`, map[string]string{"\"\\/\b\f\n\r\t": "Aé\uabcd\uabcd"}},
		{"a surrogate pair", `{"\ud83d\udd11":"\uD83D\uDD11"}`, map[string]string{"🔑": "🔑"}},
		{"escaped or not", `{"\u0061":"1","b":"2"}`, map[string]string{"a": "1", "b": "2"}},
		{"backslashes before the quote", `{"\\":"\\\\","\\\"":"\\\\\""}`, map[string]string{`\`: `\\`, `\"`: `\\"`}},
		{"all that JSON lets stand", "{\"/<>&\u2028\x7f\":\"\ufeff\"}", map[string]string{"/<>&\u2028\x7f": "\ufeff"}},
		{"bytes", `{"\u0000b64:/w==":"\u0000b64:gIA="}`, map[string]string{"\xff": "\x80\x80"}},
		{"bytes, otherwise escaped", `{"a":"\u0000\u0062\u0036\u0034:\/w=="}`, map[string]string{"a": "\xff"}},
		{"bytes not written by Encode: not needed", `{"a":"\u0000b64:YQ=="}`, map[string]string{"a": mark + "YQ=="}},
		{"bytes not written by Encode: no base64", `{"a":"\u0000b64:!"}`, map[string]string{"a": mark + "!"}},
		{"bytes not written by Encode: no padding", `{"a":"\u0000b64:/w"}`, map[string]string{"a": mark + "/w"}},
		{"bytes not written by Encode: a line break", `{"a":"\u0000b64:/w==\n"}`, map[string]string{"a": mark + "/w==\n"}},
		{"bytes not written by Encode: stray bits", `{"a":"\u0000b64:/x=="}`, map[string]string{"a": mark + "/x=="}},
		{"bytes not written by Encode: nothing", `{"a":"\u0000b64:"}`, map[string]string{"a": mark}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, decode(t, c.text))
			again := decode(t, encode(t, maps.All(c.want)))
			require.Equal(t, c.want, again)
		})
	}
}

// refused are texts outside the format, with the place of the mistake.
var refused = []struct {
	name, text string
	offset     int
	message    string
}{
	{"nothing", "", 0, "unexpected EOF"},
	{"white space only", " \n ", 3, "unexpected EOF"},
	{"an old text page", "\f{}", 0, "not a JSON object"},
	{"a word", "hello", 0, "not a JSON object"},
	{"almost a word of JSON", "nul", 0, "not a JSON object"},
	{"zeros", "\x00\x00\x00\x00\x00", 0, "not a JSON object"},
	{"zeros after a brace", "{\x00\x00\x00\x00", 1, "not a JSON object"},
	{"zeros after a member", "{\"a\":\"b\",\x00\"", 9, "not a name"},
	{"arrays, deep", strings.Repeat("[", 100_000), 0, "a list, not a JSON object"},

	{"null", "null", 0, "null, not a JSON object"},
	{"true", "true", 0, "true, not a JSON object"},
	{"false", "false", 0, "false, not a JSON object"},
	{"the number 0", "0", 0, "a number, not a JSON object"},
	{"the number 9", "9", 0, "a number, not a JSON object"},
	{"a negative number", "-1", 0, "a number, not a JSON object"},
	{"below the digits", "/1", 0, "not a JSON object"},
	{"above the digits", ":1", 0, "not a JSON object"},
	{"a string", `"a"`, 0, "a string, not a JSON object"},
	{"an array", `["a"]`, 0, "a list, not a JSON object"},

	{"byte order mark", "\ufeff{}", 0, "a byte order mark"},
	{"byte order mark only", "\ufeff", 0, "a byte order mark"},
	{"byte order mark after white space", "\r\n\ufeff{}", 2, "a byte order mark"},
	{"another character of three bytes", "\uff00{}", 0, "not a JSON object"},
	{"UTF-16, little-endian, marked", utf16Text(binary.LittleEndian, "\ufeff{}"), 0, "UTF-16"},
	{"UTF-16, little-endian, marked, empty", "\xff\xfe", 0, "UTF-16"},
	{"UTF-16, little-endian, marked, a newline", utf16Text(binary.LittleEndian, "\ufeff\n{}"), 0, "UTF-16"},
	{"UTF-16, little-endian", utf16Text(binary.LittleEndian, `{"a":"b"}`), 1, "UTF-16"},
	{"UTF-16, little-endian, no members", utf16Text(binary.LittleEndian, "{}"), 1, "UTF-16"},
	{"UTF-16, little-endian, a tab", utf16Text(binary.LittleEndian, "{\t}"), 1, "UTF-16"},
	{"UTF-16, little-endian, a newline", utf16Text(binary.LittleEndian, "\n{\n}"), 1, "UTF-16"},
	{"UTF-16, big-endian, marked", utf16Text(binary.BigEndian, "\ufeff{}"), 0, "UTF-16"},
	{"UTF-16, big-endian", utf16Text(binary.BigEndian, "{}"), 0, "UTF-16"},
	{"UTF-16, big-endian, spaces", utf16Text(binary.BigEndian, "  {}"), 0, "UTF-16"},
	{"UTF-16, big-endian, a line feed", utf16Text(binary.BigEndian, "\r\n{}"), 0, "UTF-16"},
	{"UTF-32, little-endian, marked", utf32Text(binary.LittleEndian, "\ufeff{}"), 0, "UTF-32"},
	{"UTF-32, little-endian", utf32Text(binary.LittleEndian, "{}"), 1, "UTF-32"},
	{"UTF-32, little-endian, a newline", utf32Text(binary.LittleEndian, "\n{}"), 1, "UTF-32"},
	{"UTF-32, big-endian, marked", utf32Text(binary.BigEndian, "\ufeff{}"), 0, "UTF-32"},
	{"UTF-32, big-endian", utf32Text(binary.BigEndian, "{}"), 0, "UTF-32"},
	{"two zeros and a brace", "\x00\x00{}", 0, "not a JSON object"},
	{"a zero and a letter", "\x00a{}", 0, "not a JSON object"},

	{"a comment before", "/**/{}", 0, "a comment"},
	{"a comment before, of a line", "// a\n{}", 0, "a comment"},
	{"a comment before, as in a shell", "# a\n{}", 0, "a comment"},
	{"a comment after the brace", "{\n// a\n}", 2, "a comment"},
	{"a comment after a name", `{"a" /* */ : "b"}`, 5, "a comment"},
	{"a comment before a value", "{\"a\":\n# a\n\"b\"}", 6, "a comment"},
	{"a comment after a value", "{\"a\": \"b\" // a\n}", 10, "a comment"},
	{"a comment after a comma", "{\"a\": \"b\", // a\n}", 11, "a comment"},
	{"a comment after it", "{}\n\n// a", 4, "a comment"},
	{"a slash", "/ {}", 0, "not a JSON object"},
	{"a slash at the end", "{}/", 2, "text after the object"},
	{"an asterisk", "*/{}", 0, "not a JSON object"},

	{"a value that is null", `{"a":null}`, 5, "null, not a string"},
	{"a value that is almost null", `{"a":nul}`, 5, "not a string in double quotes"},
	{"a value that is a number", `{"a": 1}`, 6, "a number, not a string"},
	{"a value that is true", `{"a":true}`, 5, "true, not a string"},
	{"a value that is false", `{"a":false}`, 5, "false, not a string"},
	{"a value that is an object", `{"a":{}}`, 6, "an object, but not of"},
	{"a value that is an array", `{"a":["b"]}`, 5, "a list, not a string"},
	{"a value in other quotes", `{"a":'b'}`, 5, "not a string in double quotes"},
	{"a value that is deep", `{"a":` + strings.Repeat("[", 100_000), 5, "not a string"},
	{"a value that is deep, objects", `{"a":` + strings.Repeat(`{"a":`, 100_000), 6, "an object, but not of"},
	{"the second value", `{"a":"b","c":1}`, 13, "not a string"},
	{"no value", `{"a":}`, 5, "the value of \"a\" is missing"},
	{"no value, but a comma", "{\n\"a\":,}", 6, "the value of \"a\" is missing"},
	{"two values", `{"a":"b":"c"}`, 8, "neither a comma nor a closing brace"},

	{"a name without quotes", `{a:"b"}`, 1, "not a name"},
	{"a name in other quotes", `{'a':"b"}`, 1, "not a name"},
	{"a name that is a number", `{1:"b"}`, 1, "not a name"},
	{"only a comma", `{,}`, 1, "not a name"},
	{"a comma at the end", "{\"a\":\"b\",\n}", 10, "a comma after the last member"},
	{"two commas", `{"a":"b",,"c":"d"}`, 9, "not a name"},
	{"no comma", `{"a":"b" "c":"d"}`, 9, "neither a comma nor a closing brace"},
	{"another bracket", `{"a":"b"]`, 8, "neither a comma nor a closing brace"},
	{"no colon", `{"a" "b"}`, 5, "no colon"},
	{"a comma for a colon", `{"a","b"}`, 4, "no colon"},
	{"a name only", `{"a"}`, 4, "no colon"},

	{"a duplicate", `{"a":"1","a":"2"}`, 9, "duplicate name"},
	{"a duplicate after others", `{"a":"1","b":"2", "a":"1"}`, 18, "duplicate name"},
	{"a duplicate by an escape", `{"a":"1","\u0061":"2"}`, 9, "duplicate name"},
	{"a duplicate of the empty name", `{"":"1","":"2"}`, 8, "duplicate name"},
	{"a duplicate of bytes", `{"\u0000b64:/w==":"1","\u0000b64:\/w==":"2"}`, 22, "duplicate name"},
	{"a duplicate of text that looks escaped", `{"\u0000b64:YQ==":"1","\u0000b64:AGI2NDpZUT09":"2"}`, 22, "duplicate name"},

	{"a word after it", `{}x`, 2, "text after the object"},
	{"a brace after it", `{"a":"b"} }`, 10, "text after the object"},
	{"another object", `{} {}`, 3, "text after the object"},
	{"another line", "{}\n{}\n", 3, "text after the object"},
	{"zeros after it", "{}\n\x00\x00", 3, "text after the object"},

	{"a line break in a string", "{\"a\":\"x\ny\"}", 7, "invalid character '\\n'"},
	{"a NUL in a string", "{\"a\":\"12345678\x009\"}", 14, "invalid character '\\x00'"},
	{"an escape there is not", `{"a":"x\yz"}`, 7, "invalid escape sequence"},
	{"an escape that is no number", `{"a":"\u12G4"}`, 6, "invalid escape sequence"},
	{"an escape cut off by the quote", `{"a":"\u12"}`, 6, "invalid escape sequence"},
	{"a high surrogate alone", `{"a":"\ud800"}`, 6, "invalid surrogate pair"},
	{"a low surrogate alone", `{"a":"\udc00"}`, 6, "invalid surrogate pair"},
	{"a high surrogate and a letter", `{"a":"\ud800A"}`, 6, "invalid surrogate pair"},
	{"a high surrogate and another escape", `{"a":"\ud800\n"}`, 6, "invalid surrogate pair"},
	{"a high surrogate and another character", `{"a":"\ud800\u0041"}`, 6, "invalid surrogate pair"},
	{"two high surrogates", `{"a":"\ud800\ud800"}`, 6, "invalid surrogate pair"},
	{"a pair the wrong way round", `{"\udc00\ud800":""}`, 2, "invalid surrogate pair"},
	{"invalid UTF-8", "{\"a\":\"\xff\"}", 6, "invalid UTF-8"},
	{"invalid UTF-8 in a name", "{\"\x80\":\"\"}", 2, "invalid UTF-8"},
	{"UTF-8 cut off by the quote", "{\"a\":\"x\xc3\"}", 7, "invalid UTF-8"},
	{"overlong UTF-8", "{\"a\":\"\xc0\x80\"}", 6, "invalid UTF-8"},
	{"a surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", 6, "invalid UTF-8"},
	{"beyond Unicode", "{\"a\":\"\xf4\x90\x80\x80\"}", 6, "invalid UTF-8"},
	{"a mistake far behind", `{"a":"` + strings.Repeat("x", 200_000) + `\q"}`, 200_006, "invalid escape sequence"},
	{"a mistake after a long string", `{"a":"` + strings.Repeat("x", 200_000) + `",b}`, 200_008, "not a name"},
	{"a string without an end", `{"a":"` + strings.Repeat("x", 200_000), 200_006, "unexpected EOF"},
	{"a string with a mistake and without an end", `{"a":"\q` + strings.Repeat("x", 200_000), 6, "invalid escape sequence"},
}

// utf16Text returns text in UTF-16.
func utf16Text(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// utf32Text returns text in UTF-32.
func utf32Text(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, r := range text {
		b = order.AppendUint32(b, uint32(r))
	}
	return string(b)
}

func TestDecodeRefusesAllElse(t *testing.T) {
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			for way, reader := range readers(c.text) {
				_, err := decodeFrom(reader)
				requireSyntaxError(t, err, c.text, c.offset, c.message, way)
			}
		})
	}
}

func requireSyntaxError(t *testing.T, err error, text string, offset int, message, how string) {
	t.Helper()
	var syntax *codec.SyntaxError
	require.ErrorAs(t, err, &syntax, how)
	require.EqualValues(t, offset, syntax.Offset, how)
	require.Equal(t, lineOf(text, syntax.Offset), syntax.Line, how)
	require.ErrorContains(t, syntax.Err, message, how)
}

// lineOf returns the number of the line of a place in text.
func lineOf(text string, offset int64) int { return 1 + strings.Count(text[:offset], "\n") }

func TestSyntaxErrorsNameTheKey(t *testing.T) {
	const fortyRunes = "0123456789012345678901234567890123456é鍵🔑"
	for _, c := range []struct{ text, key, message string }{
		{"{\n\t\"retries\": \"3\",\n\t\"timeout\": 30\n}", "timeout",
			`line 3, byte 31: the value of "timeout" is a number, not a string`},
		{`{"a":null}`, "a", `line 1, byte 5: the value of "a" is null, not a string`},
		{`{"":[]}`, "", `line 1, byte 4: the value of "" is a list, not a string`},
		{`{"a" "b"}`, "a", `line 1, byte 5: no colon after the name "a"`},
		{`{"a":"b";}`, "a", `line 1, byte 8: neither a comma nor a closing brace after the value of "a"`},
		{`{"a":"b" # c`, "a", `line 1, byte 9: a comment, which JSON does not have`},
		{`{"a":"b",c`, "", `line 1, byte 9: not a name in double quotes`},
		{`{"a":"b","c\q`, "", "line 1, byte 11: invalid escape sequence `\\q` in string"},
		{`{"a":"b"}c`, "", `line 1, byte 9: text after the object`},
		{`{"a":"\q"}`, "a", "line 1, byte 6: the value of \"a\": invalid escape sequence `\\q` in string"},
		{`{"":"\q"}`, "", "line 1, byte 5: the value of \"\": invalid escape sequence `\\q` in string"},
		{`{"a`, "", "line 1, byte 3: unexpected EOF"},
		{`{"a":"b`, "a", `line 1, byte 7: the value of "a": unexpected EOF`},
		{"{\"a\":\"1\",\n\n\"a\":\"2\"}", "a", `line 3, byte 11: duplicate name "a"`},
		{`{"\u0022\n":1}`, "\"\n", `line 1, byte 12: the value of "\"\n" is a number, not a string`},
		{`{"\u0000b64:/w==":1}`, "\xff", `line 1, byte 18: the value of "\xff" is a number, not a string`},
		{`{"` + fortyRunes + `":1}`, fortyRunes,
			`line 1, byte 50: the value of "` + fortyRunes + `" is a number, not a string`},
		{`{"` + fortyRunes + `1":1}`, fortyRunes + "1",
			`line 1, byte 51: the value of "` + fortyRunes + `"… is a number, not a string`},
		{"\n\xef\xbb\xbf{}", "", "line 2, byte 1: a byte order mark: the text must be UTF-8 without one"},
		{"{\x00}\x00", "", "line 1, byte 1: text in UTF-16: it must be UTF-8"},
		{"{\x00\x00\x00}\x00\x00\x00", "", "line 1, byte 1: text in UTF-32: it must be UTF-8"},
	} {
		_, err := decodeFrom(strings.NewReader(c.text))
		require.EqualError(t, err, c.message)
		var syntax *codec.SyntaxError
		require.ErrorAs(t, err, &syntax)
		require.Equal(t, c.key, syntax.Key, c.message)
	}
}

// readers are the ways of a Reader to return text.
func readers(text string) map[string]io.Reader {
	return map[string]io.Reader{
		"all at once":         strings.NewReader(text),
		"byte by byte":        iotest.OneByteReader(strings.NewReader(text)),
		"by halves":           iotest.HalfReader(strings.NewReader(text)),
		"with io.EOF at once": iotest.DataErrReader(strings.NewReader(text)),
	}
}

// varied has an example of every part of the format.
const varied = "{\"plain\":\"value\", \"é鍵🔑\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\n" +
	"\"\\u0041\\ud83d\\udd11\":\"\\u0000b64:/w==\",\"\":\"\"}"

func TestDecodeRefusesATextCutOffAnywhere(t *testing.T) {
	require.Len(t, decode(t, varied), 4)
	for n := range varied {
		for way, reader := range readers(varied[:n]) {
			_, err := decodeFrom(reader)
			var syntax *codec.SyntaxError
			require.ErrorAs(t, err, &syntax, "%d, %s", n, way)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d, %s", n, way)
			require.LessOrEqual(t, syntax.Offset, int64(n))
			require.GreaterOrEqual(t, syntax.Offset, int64(n)-11, "at most the escape of a surrogate pair before the end")
		}
	}
}

// A flipped bit gives a text to refuse or another text of the format. The
// reference decides.
func TestDecodeOfFlippedBits(t *testing.T) {
	refusals := 0
	for i := range len(varied) * 8 {
		text := []byte(varied)
		text[i/8] ^= 1 << (i % 8)
		if requireAsReference(t, text) != nil {
			refusals++
		}
	}
	require.Greater(t, refusals, len(varied))
}

// Every part of a string lies across the edge of the buffer in one of the texts.
func TestDecodeAcrossTheEdgesOfItsBuffer(t *testing.T) {
	const buffer = 64 << 10
	for _, end := range []string{"", `\`, `"`, `\"`, "\n", "é", "🔑", "\x00", "\xff"} {
		for length := buffer - 16; length < buffer+2; length++ {
			value := strings.Repeat("x", length) + end
			text := encode(t, pairs("k", value, "l", end))
			require.Equal(t, map[string]string{"k": value, "l": end}, decode(t, text))
		}
	}
}

func TestDecodeOfALargeString(t *testing.T) {
	for unit, size := range map[string]int{"plain": 16 << 20, `\`: 1 << 20, `"`: 1 << 20, "é": 1 << 20, "\xff": 1 << 20} {
		want := map[string]string{"k": strings.Repeat(unit, size/len(unit))}
		got := decode(t, encode(t, maps.All(want)))
		require.True(t, maps.Equal(want, got), unit) // without printing megabytes
	}
}

func TestDecodePassesOnWhatTheReaderReturns(t *testing.T) {
	for _, broken := range []error{
		errors.New("broken"),
		io.ErrUnexpectedEOF, // as of a decompressor: not a mistake in the text
		fmt.Errorf("wrapped: %w", io.EOF),
		&codec.SyntaxError{Offset: 1, Err: errors.New("of another text")},
	} {
		for n := range len(varied) + 1 {
			r := io.MultiReader(strings.NewReader(varied[:n]), iotest.ErrReader(broken))
			_, err := decodeFrom(r)
			require.Same(t, broken, err, "after %d bytes", n)
		}
	}
}

// The first error ends Decode, even if another Read would succeed.
func TestDecodeReadsNoFurtherAfterAnError(t *testing.T) {
	for n := range len(varied) + 1 {
		broken := errors.New("broken")
		r := io.MultiReader(strings.NewReader(varied[:n]), &failingOnce{err: broken}, strings.NewReader(varied[n:]))
		_, err := decodeFrom(r)
		require.Same(t, broken, err, "after %d bytes", n)
	}
}

// A failingOnce returns its error once, then io.EOF.
type failingOnce struct{ err error }

func (r *failingOnce) Read([]byte) (int, error) {
	err := r.err
	r.err = io.EOF
	return 0, err
}

func TestDecodeGivesUpOnAReaderThatGivesNothing(t *testing.T) {
	_, err := decodeFrom(silence{})
	require.ErrorIs(t, err, io.ErrNoProgress)
}

type silence struct{}

func (silence) Read([]byte) (int, error) { return 0, nil }

func TestDecodeStopsReadingAtAMistake(t *testing.T) {
	text := `{"a":1,` + strings.Repeat(" ", 1<<20)
	r := strings.NewReader(text)
	_, err := decodeFrom(r)
	requireSyntaxError(t, err, text, 5, "not a string", "")
	require.Greater(t, r.Len(), 900_000)
}

func TestDecodeCallsAddInTheOrderOfTheText(t *testing.T) {
	var got []string
	err := codec.Decode(strings.NewReader(`{"b":"1","a":"2","c":"3"}`), func(keys, values []string, _ []int64) int {
		for i := range keys {
			got = append(got, keys[i], values[i])
		}
		return len(keys)
	})
	require.NoError(t, err)
	require.Equal(t, []string{"b", "1", "a", "2", "c", "3"}, got)
}

// The members are handed over 1024 at a time.
func TestDecodeHandsOverBatches(t *testing.T) {
	const batch = 1024
	for n, want := range map[int][]int{
		0:         {0},
		1:         {1},
		batch - 1: {batch - 1},
		batch:     {batch, 0},
		batch + 1: {batch, 1},
		5 * batch: {batch, batch, batch, batch, batch, 0},
	} {
		var sizes []int
		err := codec.Decode(strings.NewReader(encode(t, numbered(n))), func(keys, values []string, _ []int64) int {
			require.Len(t, values, len(keys))
			sizes = append(sizes, len(keys))
			return len(keys)
		})
		require.NoError(t, err)
		require.Equal(t, want, sizes, "%d members", n)
	}
}

// The goroutine that reads ahead has ended when Decode returns, for any reason.
// The race detector would see a goroutine that is only about to end.
func TestDecodeLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	text := encode(t, func(yield func(key, value string) bool) {
		for i := range 100_000 {
			if !yield(fmt.Sprint("key ", i), "") {
				return
			}
		}
	})
	decode := func(at int, stop func() int) (seen int) {
		r := &counted{Reader: strings.NewReader(text)}
		defer func() { require.Positive(t, r.reads) }()
		_ = codec.Decode(r, func(keys, values []string, _ []int64) int {
			if seen += len(keys); seen > at {
				return stop()
			}
			return len(keys)
		})
		return seen
	}
	for name, at := range map[string]int{"first": 0, "in the middle": 50_000, "last": 99_999} {
		require.InDelta(t, at, decode(at, func() int { return 0 }), 1024, name)
		require.Panics(t, func() { decode(at, func() int { panic("planted") }) }, name)
	}
}

// A counted reader counts reads, without a lock. Its reads are small, and many.
type counted struct {
	io.Reader
	reads int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p[:min(len(p), 100)])
}

// Decode reports a duplicate, although it has already read a later mistake ahead.
func TestDecodeReportsTheFirstMistake(t *testing.T) {
	const text = `{"a":"1","a":"2","b":3}`
	_, err := decodeFrom(strings.NewReader(text))
	requireSyntaxError(t, err, text, 9, "duplicate name", "")
}

// A string must not change after the decoder has handed it over.
func TestDecodedStringsAreTheirOwn(t *testing.T) {
	for _, value := range []string{"plain", "a\\b", "é", "\xff"} {
		want := map[string]string{}
		for i := range 5000 {
			want[fmt.Sprint(value, i)] = fmt.Sprint(i, value)
		}
		require.Equal(t, want, decode(t, encode(t, maps.All(want))))
	}
}

func TestDecodeAllocatesLittleBeyondTheStrings(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"plain", strings.Repeat("v", 48)},
		{"escapes", strings.Repeat("\"v\n", 16)},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n = 20_000
			text := encode(t, func(yield func(key, value string) bool) {
				for i := range n {
					if !yield(fmt.Sprintf("key:%012d", i), c.value) {
						return
					}
				}
			})
			got := allocated(func() {
				require.NoError(t, codec.Decode(strings.NewReader(text), all))
			})
			const strings = n * (16 + 48)        // two sizes of the allocator
			const buffers = 2*64<<10 + 3*1024*48 // for text, twice, and for three batches
			require.InDelta(t, strings+buffers, got, strings/50)
		})
	}
}

// anyString generates difficult strings: bytes, marks and escapes among ordinary
// text.
func anyString() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.String(),
		rapid.StringOfN(rapid.RuneFrom([]rune("abcdefgh0123+/= ")), 0, 40, -1),
		rapid.SampledFrom([]string{
			"", mark, "\x00", "\x00b64", "YQ==", "/w==", `"`, `\`, `\u0061`, "\u2028", "\u2029", "\ufeff", "\ufffd",
			"\xed\xa0\x80", "\xed\xb0\x80", "\xed\xa0\x80\xed\xb0\x80", "\xc0\x80", "\xff", "\x7f", "{", "}", ":", ",",
		}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
	)
	return rapid.Map(rapid.SliceOfN(part, 0, 4), func(parts []string) string { return strings.Join(parts, "") })
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOfN(anyString(), anyString(), 0, 20).Draw(t, "entries")
		requireRoundTrip(t, want)
	})
}

// requireRoundTrip requires that Decode gives the encoded map and, if JSON can hold
// all strings of the map, that the standard decoder does.
func requireRoundTrip(t require.TestingT, want map[string]string) {
	text := encode(t, maps.All(want))
	require.Equal(t, want, decode(t, text))
	var standard map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &standard))
	require.Len(t, standard, len(want), "no two keys may become one")
	if isOrdinary(want) {
		require.Equal(t, want, standard)
	}
}

func isOrdinary(m map[string]string) bool {
	for key, value := range m {
		for _, s := range []string{key, value} {
			if !utf8.ValidString(s) || strings.HasPrefix(s, mark) {
				return false
			}
		}
	}
	return true
}

// A negative control: the round trip of an encoder that replaces invalid UTF-8
// fails.
func TestRoundTripNoticesALossyEncoder(t *testing.T) {
	entries := map[string]string{"\xff": "1", "\xfe": "2"}
	lossy, err := json.Marshal(entries)
	require.NoError(t, err)
	_, err = decodeFrom(bytes.NewReader(lossy))
	require.ErrorContains(t, err, "duplicate name")
}

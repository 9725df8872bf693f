package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/windevkay/forge/genie/internal/codec"
)

func decodeFrom(r io.Reader) (map[string]string, error) {
	m := map[string]string{}
	err := codec.Decode(r, func(keys, values []string) int {
		for i, key := range keys {
			if _, existed := m[key]; existed {
				return i
			}
			m[key] = values[i]
		}
		return len(keys)
	})
	return m, err
}

func all(keys, values []string) (added int) { return len(keys) }

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

// refused are texts that are not in the format, with the place of the mistake.
var refused = []struct {
	name, text string
	offset     int
	message    string
}{
	{"nothing", "", 0, "unexpected EOF"},
	{"white space only", " \n ", 3, "unexpected EOF"},
	{"byte order mark", "\ufeff{}", 0, "not a JSON object"},
	{"null", "null", 0, "not a JSON object"},
	{"a number", "12", 0, "not a JSON object"},
	{"a string", `"a"`, 0, "not a JSON object"},
	{"an array", `["a"]`, 0, "not a JSON object"},
	{"a comment", "/**/{}", 0, "not a JSON object"},
	{"an old text page", "\f{}", 0, "not a JSON object"},
	{"zeros", "\x00\x00\x00", 0, "not a JSON object"},
	{"arrays, deep", strings.Repeat("[", 100_000), 0, "not a JSON object"},

	{"a value that is null", `{"a":null}`, 5, "not a string"},
	{"a value that is a number", `{"a": 1}`, 6, "not a string"},
	{"a value that is a Boolean", `{"a":true}`, 5, "not a string"},
	{"a value that is an object", `{"a":{}}`, 5, "not a string"},
	{"a value that is an array", `{"a":["b"]}`, 5, "not a string"},
	{"a value that is deep", `{"a":` + strings.Repeat("[", 100_000), 5, "not a string"},
	{"a value that is deep, objects", `{"a":` + strings.Repeat(`{"a":`, 100_000), 5, "not a string"},
	{"the second value", `{"a":"b","c":1}`, 13, "not a string"},
	{"no value", `{"a":}`, 5, "not a string"},
	{"two values", `{"a":"b":"c"}`, 8, "neither a comma nor a closing brace"},

	{"a name without quotes", `{a:"b"}`, 1, "not a name"},
	{"a name in other quotes", `{'a':"b"}`, 1, "not a name"},
	{"a name that is a number", `{1:"b"}`, 1, "not a name"},
	{"only a comma", `{,}`, 1, "not a name"},
	{"a comma at the end", `{"a":"b",}`, 9, "not a name"},
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

func TestDecodeRefusesAllElse(t *testing.T) {
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			for way, reader := range readers(c.text) {
				_, err := decodeFrom(reader)
				requireSyntaxError(t, err, c.offset, c.message, way)
			}
		})
	}
}

func requireSyntaxError(t *testing.T, err error, offset int, message, how string) {
	t.Helper()
	var syntax *codec.SyntaxError
	require.ErrorAs(t, err, &syntax, how)
	require.EqualValues(t, offset, syntax.Offset, how)
	require.ErrorContains(t, syntax.Err, message, how)
	require.ErrorContains(t, err, fmt.Sprintf("at byte %d: ", offset), how)
}

// readers gives text out in the ways a Reader may.
func readers(text string) map[string]io.Reader {
	return map[string]io.Reader{
		"all at once":         strings.NewReader(text),
		"byte by byte":        iotest.OneByteReader(strings.NewReader(text)),
		"by halves":           iotest.HalfReader(strings.NewReader(text)),
		"with io.EOF at once": iotest.DataErrReader(strings.NewReader(text)),
	}
}

// varied has something of everything that the format has.
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

// What a flipped bit makes of the text is refused or is another text in the
// format: the reference tells which.
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

// Strings of which every part once comes to lie across the edge of the buffer.
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
		require.True(t, maps.Equal(want, got), unit) // without printing it
	}
}

func TestDecodePassesOnWhatTheReaderReturns(t *testing.T) {
	for _, broken := range []error{
		errors.New("broken"),
		io.ErrUnexpectedEOF, // of a decompressor, say: not the text's fault
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

func TestDecodeGivesUpOnAReaderThatGivesNothing(t *testing.T) {
	_, err := decodeFrom(silence{})
	require.ErrorIs(t, err, io.ErrNoProgress)
}

type silence struct{}

func (silence) Read([]byte) (int, error) { return 0, nil }

func TestDecodeStopsReadingAtAMistake(t *testing.T) {
	r := strings.NewReader(`{"a":1,` + strings.Repeat(" ", 1<<20))
	_, err := decodeFrom(r)
	requireSyntaxError(t, err, 5, "not a string", "")
	require.Greater(t, r.Len(), 900_000)
}

func TestDecodeCallsSetInTheOrderOfTheText(t *testing.T) {
	var got []string
	err := codec.Decode(strings.NewReader(`{"b":"1","a":"2","c":"3"}`), func(keys, values []string) int {
		for i := range keys {
			got = append(got, keys[i], values[i])
		}
		return len(keys)
	})
	require.NoError(t, err)
	require.Equal(t, []string{"b", "1", "a", "2", "c", "3"}, got)
}

// However the caller leaves Decode, the goroutine that reads ahead has ended. The
// race detector sees whether it has when Decode returns, and not only soon.
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
		_ = codec.Decode(r, func(keys, values []string) int {
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

// A counted reader counts its reads, for one goroutine at a time. They are small,
// so that there are many.
type counted struct {
	io.Reader
	reads int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p[:min(len(p), 100)])
}

// A mistake that is read ahead comes after a duplicate before it.
func TestDecodeTellsOfTheFirstMistake(t *testing.T) {
	_, err := decodeFrom(strings.NewReader(`{"a":"1","a":"2","b":3}`))
	requireSyntaxError(t, err, 9, "duplicate name", "")
}

// What set keeps must not change when the decoder goes on.
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
			const strings = n * (16 + 48)      // both of a size the allocator has
			const buffers = 64<<10 + 3*1024*40 // of text, and of what is decoded ahead
			require.InDelta(t, strings+buffers, got, strings/50)
		})
	}
}

// anyString generates what is likely to go wrong: bytes, marks, escapes, and
// ordinary text for company.
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

// requireRoundTrip also looks at the text with the standard decoder, which must
// find the same map in it where JSON has a place for all strings.
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

// The check itself: what a careless encoder makes of strings that JSON cannot
// hold does not come back.
func TestRoundTripNoticesALossyEncoder(t *testing.T) {
	entries := map[string]string{"\xff": "1", "\xfe": "2"}
	lossy, err := json.Marshal(entries)
	require.NoError(t, err)
	_, err = decodeFrom(bytes.NewReader(lossy))
	require.ErrorContains(t, err, "duplicate name")
}

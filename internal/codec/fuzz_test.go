package codec_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/codec"
)

// FuzzDecode compares Decode with a general decoder plus the rules of the format.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(varied))
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"":"",]`))
	f.Add([]byte(`{"":"",,]`))
	f.Add([]byte(`{t`))
	for _, text := range timedTexts {
		f.Add([]byte(text))
	}
	for _, c := range refused {
		if len(c.text) < 1000 {
			f.Add([]byte(c.text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if requireAsReference(t, text) == nil {
			requireRoundTrip(t, decode(t, string(text)))
		}
	})
}

// FuzzRoundTrip encodes and decodes maps of one or two entries of any bytes.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{
		"", "a", "\x00b64:", "\x00b64:YQ==", "\x00b64:/w==", "\xff", "\xed\xa0\x80", "é\u2028🔑", `"\`, "\x00\x1f\x7f",
	} {
		f.Add(s, "value", s+s, s)
		f.Add("key", s, "", s+"\n")
	}
	f.Fuzz(func(t *testing.T, key, value, otherKey, otherValue string) {
		requireRoundTrip(t, map[string]string{key: value, otherKey: otherValue})
	})
}

// requireAsReference requires that Decode and reference agree about text, however
// Decode reads it, and returns the error of Decode.
func requireAsReference(t *testing.T, text []byte) error {
	t.Helper()
	want, place, refusal := reference(text)
	got, err := decodeEntries(bytes.NewReader(text))
	_, slowly := decodeFrom(iotest.OneByteReader(bytes.NewReader(text)))
	require.Equal(t, fmt.Sprint(err), fmt.Sprint(slowly), "%q", text)
	if refusal == nil {
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
		return nil
	}
	var syntax *codec.SyntaxError
	require.ErrorAs(t, err, &syntax, "%q: %v", text, refusal)
	if place >= 0 { // else the reference does not know it
		requireSamePlace(t, text, syntax.Offset, place)
	}
	require.Equal(t, lineOf(string(text), syntax.Offset), syntax.Line, "%q", text)
	return err
}

// requireSamePlace allows for two habits of a general decoder: of two neighbouring
// commas, colons or spaces it may blame either, and it reads a whole literal before
// it refuses the literal as a name.
func requireSamePlace(t *testing.T, text []byte, got, want int64) {
	t.Helper()
	between := text[min(got, want):max(got, want)]
	if !bytes.ContainsAny(between[:min(1, len(between))], "tfn-0123456789") {
		between = bytes.Trim(between, " \t\r\n,:")
		require.Empty(t, between, "%q: %d, not %d", text, got, want)
	}
	require.LessOrEqual(t, got, int64(len(text)))
}

// reference decodes text by a general decoder, token by token. place is the place
// of the mistake, if any.
func reference(text []byte) (m map[string]codec.Entry, place int64, err error) {
	in := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	// next is where the next token starts.
	next := func(skip string) int64 {
		return int64(len(text) - len(bytes.TrimLeft(text[in.InputOffset():], " \t\r\n"+skip)))
	}
	placeOf := func(err error) int64 {
		if inside, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			return inside.ByteOffset
		}
		return next("") // io.EOF: an empty text
	}
	m = map[string]codec.Entry{}
	mistake := errors.New("no mistake of grammar")
	if kind := in.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return nil, next(""), mistake
	}
	if _, err := in.ReadToken(); err != nil {
		return nil, placeOf(err), err
	}
	for in.PeekKind() == '"' {
		start := next(",")
		name, err := in.ReadToken()
		if err != nil {
			return nil, placeOf(err), err
		}
		key := referenceUnescape(name.String())
		kind := in.PeekKind()
		if kind != '"' && kind != '{' && kind != jsontext.KindInvalid {
			return nil, next(":"), mistake
		}
		e := codec.Entry{Key: key}
		if kind == '{' {
			if e.Value, e.Deadline, err = referenceTimed(in); err != nil {
				return nil, -1, err
			}
		} else {
			value, err := in.ReadToken()
			if err != nil {
				return nil, placeOf(err), err
			}
			e.Value = referenceUnescape(value.String())
		}
		if _, ok := m[key]; ok {
			return nil, start, mistake
		}
		m[key] = e
	}
	if _, err := in.ReadToken(); err != nil {
		return nil, placeOf(err), err
	}
	if in.PeekKind() != jsontext.KindInvalid {
		return nil, next(""), mistake
	}
	if _, err := in.ReadToken(); err != io.EOF {
		return nil, placeOf(err), err
	}
	return m, 0, nil
}

// utcForm is the form of a time of RFC 3339 in UTC, of which time.Parse forgives a lot.
var utcForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$`)

// referenceTimed reads a value with a deadline.
func referenceTimed(in *jsontext.Decoder) (value string, deadline int64, err error) {
	text, err := in.ReadValue()
	if err != nil {
		return "", 0, err
	}
	text = bytes.Clone(text)
	members := jsontext.NewDecoder(bytes.NewReader(text))
	found := map[string]string{}
	for _, _ = members.ReadToken(); members.PeekKind() == '"'; {
		name, _ := members.ReadToken()
		key := name.String()
		if members.PeekKind() != '"' {
			return "", 0, errors.New("not a string")
		}
		member, err := members.ReadToken()
		if err != nil {
			return "", 0, err
		}
		if _, again := found[key]; again {
			return "", 0, errors.New("a member twice")
		}
		found[key] = member.String()
	}
	at, err := time.Parse(time.RFC3339Nano, found["expires"])
	_, hasValue := found["value"]
	if err != nil || !hasValue || len(found) != 2 || !utcForm.MatchString(found["expires"]) {
		return "", 0, errors.New("not a string and a time")
	}
	switch {
	case at.Unix() < 0 || at.UnixNano() == 0:
		deadline = 1
	case at.Year() > 2262 || at.UnixNano() < 0:
		deadline = math.MaxInt64
	default:
		deadline = at.UnixNano()
	}
	return referenceUnescape(found["value"]), deadline, nil
}

func referenceUnescape(text string) string {
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, mark))
	s := string(b)
	if err == nil && text == mark+base64.StdEncoding.EncodeToString(b) &&
		(!utf8.ValidString(s) || strings.HasPrefix(s, mark)) {
		return s
	}
	return text
}

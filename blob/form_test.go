package blob

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/windevkay/forge/genie"
)

// writes returns a source that writes pieces, and ignores the errors.
func writes(pieces ...string) writer {
	return func(w io.Writer) (total int64, _ error) {
		for _, piece := range pieces {
			n, _ := io.WriteString(w, piece)
			total += int64(n)
		}
		return total, nil
	}
}

// noBackups are texts that genie.Store.ReadFrom refuses, each in a way of its own.
var noBackups = map[string]string{
	"nothing":              "",
	"white space":          " \n",
	"half an object":       `{"a":"b`,
	"no end":               `{"a":"b"`,
	"a word":               "hello",
	"an array":             `["a"]`,
	"a string":             `"a"`,
	"a number as a value":  `{"a":1}`,
	"null as a value":      `{"a":null}`,
	"an array as a value":  `{"a":["b"]}`,
	"another object":       `{"a":{"b":"c"}}`,
	"a value alone":        `{"a":{"value":"b"}}`,
	"a value twice":        `{"a":{"value":"b","value":"c"}}`,
	"an object too much":   `{"a":{"value":"b","expires":{}}}`,
	"a third member":       `{"a":{"value":"b","expires":"2026-11-28T04:14:09Z","c":"d"}}`,
	"no time":              `{"a":{"value":"b","expires":"tomorrow"}}`,
	"another zone":         `{"a":{"value":"b","expires":"2026-11-28T04:14:09+01:00"}}`,
	"an hour of one digit": `{"a":{"value":"b","expires":"2026-11-28T4:14:09Z"}}`,
	"a comma in a time":    `{"a":{"value":"b","expires":"2026-11-28T04:14:09,5Z"}}`,
	"ten digits of a time": `{"a":{"value":"b","expires":"2026-11-28T04:14:09.1234567890Z"}}`,
	"a day that is none":   `{"a":{"expires":"2026-02-30T04:14:09Z","value":"b"}}`,
	"an empty time":        `{"a":{"value":"b","expires":""}}`,
	"two objects":          `{"a":"b"}{"c":"d"}`,
	"a word at the end":    `{"a":"b"} x`,
	"a comma too much":     `{"a":"b",}`,
	"a name without quote": `{a:"b"}`,
	"no UTF-8":             "{\"a\":\"\xff\"}",
}

// A source that says that all went well and has written no backup makes no copy, and so removes
// none.
func TestSourcesThatWriteNoBackup(t *testing.T) {
	for name, text := range noBackups {
		t.Run(name, func(t *testing.T) {
			b := newFaultyBucket()
			copies := b.copies(t, WithKeep(1, 0))
			must(copies.Copy(t.Context(), store(t, "old")))
			_, err := copies.Copy(t.Context(), writes(text))
			require.ErrorIs(t, err, fs.ErrInvalid)
			require.NotErrorIs(t, err, ErrDamaged)
			require.Len(t, b.contents(), 2)
			require.Equal(t, []string{"old"}, requireWhole(t, b))
		})
	}
}

// The bucket refuses a Write in the middle, and the source goes on as if nothing had happened.
func TestAWriteErrorThatTheSourceIgnores(t *testing.T) {
	b := newFaultyBucket()
	copies := b.copies(t, WithKeep(1, 0))
	must(copies.Copy(t.Context(), store(t, "old")))
	b.fail(at(func(o op) bool { return o.kind == "write" && o.at == 6 }, errNoRoom))
	_, err := copies.Copy(t.Context(), writes(`{"a":"`, `b","c":"`, `d"}`))
	require.ErrorIs(t, err, errNoRoom)
	b.fail(nil)
	require.Equal(t, []string{"old"}, requireWhole(t, b))
}

// A sealed text that is no backup is damage for a Verify, as it is for a Restore.
func TestVerifyChecksTheForm(t *testing.T) {
	b := newFaultyBucket()
	for name, text := range noBackups {
		made := sealText(b, text)
		require.ErrorIs(t, b.copies(t).Verify(t.Context(), made), ErrDamaged, name)
		require.ErrorIs(t, b.copies(t).RestoreCopy(t.Context(), store(t, ""), made), ErrDamaged, name)
	}
	require.NoError(t, b.copies(t).Verify(t.Context(), sealText(b, "{}")))
}

func TestNoBackupsAreNone(t *testing.T) {
	for name, text := range noBackups {
		_, err := store(t, "").ReadFrom(strings.NewReader(text))
		require.ErrorIs(t, err, genie.ErrCorrupt, name)
	}
}

// Whatever a store holds, its backup has the form, and no backup that is cut off has it.
func TestBackupsHaveTheForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := must(genie.NewStore(genie.WithoutFile()))
		for key, value := range rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.Byte())).Draw(t, "entries") {
			if rapid.Bool().Draw(t, "timed") {
				s.SetWithTTL(key, string(value), time.Hour)
			} else {
				s.Set(key, string(value))
			}
		}
		var text bytes.Buffer
		must(s.WriteTo(&text))
		require.NoError(t, readOwn(bytes.NewReader(text.Bytes())))
		part := rapid.IntRange(0, text.Len()-2).Draw(t, "part") // the last byte is a line feed
		require.ErrorIs(t, readOwn(bytes.NewReader(text.Bytes()[:part])), errNoBackup)
	})
}

// What people and other programs write, and genie.Store.ReadFrom takes.
func TestOtherBackupsHaveTheForm(t *testing.T) {
	for _, text := range []string{"{}", " {\n\t\"a\" : \"\\u00e9\" , \"b\":\"\"\r\n} \n", `{"a":{"expires":"2126-11-28T04:14:09Z","value":"b"},"c":"d"}`, `{"a":{"value":"b","expires":"0001-01-01T00:00:00.123456789Z"}}`} {
		require.NoError(t, readOwn(strings.NewReader(text)), text)
		must(store(t, "").ReadFrom(strings.NewReader(text)))
	}
}

// If the bucket has changed the text, the error says so, and not that the source was at fault.
func TestAChangedTextIsDamage(t *testing.T) {
	b := newFaultyBucket()
	b.fail(func(_ context.Context, o op) error {
		if o.kind == "committed" {
			b.put(o.key, []byte("hello"), time.Now())
		}
		return nil
	})
	_, err := b.copies(t).Copy(t.Context(), store(t, "new"))
	require.ErrorIs(t, err, ErrDamaged)
	require.NotErrorIs(t, err, fs.ErrInvalid)
}

package codec_test

import (
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/windevkay/forge/genie/internal/codec"
)

// timedTexts are texts with deadlines, for the fuzzer to start from.
var timedTexts = []string{
	`{"k":{"value":"v","expires":"2026-01-02T03:04:05Z"}}`,
	`{"k": { "expires" : "2026-01-02T03:04:05.123456789Z" , "value" : "\u0061" } , "l":"w"}`,
	`{"k":{"value":"v","expires":"3026-01-02T03:04:05Z"},"l":{"value":"v","expires":"0001-01-01T00:00:00Z"}}`,
	`{"k":{"value":"v"}}`,
	`{"k":{}}`,
	`{"k":{"value":"v","expires":"2026-01-02T3:04:05Z"}0`,
}

func deadline(text string) int64 {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return at.UnixNano()
}

func TestADeadlineIsWrittenBesideItsValue(t *testing.T) {
	entries := []codec.Entry{
		{Key: "a", Value: "1"},
		{Key: "b", Value: "\xff", Deadline: deadline("2026-01-02T03:04:05Z")},
		{Key: "c", Deadline: deadline("2026-01-02T03:04:05.00600007Z")},
		{Key: "d", Deadline: math.MaxInt64},
	}
	require.Equal(t, `{"a":"1","b":{"value":"\u0000b64:/w==","expires":"2026-01-02T03:04:05Z"},`+
		`"c":{"value":"","expires":"2026-01-02T03:04:05.00600007Z"},`+
		`"d":{"value":"","expires":"2262-04-11T23:47:16.854775807Z"}}`+"\n", encodeEntries(t, slices.Values(entries)))
}

func anyEntries() *rapid.Generator[map[string]codec.Entry] {
	return rapid.Custom(func(t *rapid.T) map[string]codec.Entry {
		entries := map[string]codec.Entry{}
		for key, value := range rapid.MapOf(anyString(), anyString()).Draw(t, "strings") {
			entries[key] = codec.Entry{key, value, rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Min(1)).Draw(t, "deadline")}
		}
		return entries
	})
}

func TestEntriesAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := anyEntries().Draw(t, "entries")
		got, err := decodeEntries(strings.NewReader(encodeEntries(t, values(entries))))
		require.NoError(t, err)
		require.Equal(t, entries, got)
	})
}

func values(entries map[string]codec.Entry) func(yield func(codec.Entry) bool) {
	return func(yield func(codec.Entry) bool) {
		for _, e := range entries {
			if !yield(e) {
				return
			}
		}
	}
}

// More members than a batch holds, of which a few have deadlines.
func TestFewDeadlinesAmongMany(t *testing.T) {
	entries := map[string]codec.Entry{}
	for i := range 5_000 {
		e := codec.Entry{Key: fmt.Sprint(i), Value: "v"}
		if i%1_500 == 700 {
			e.Deadline = int64(i)
		}
		entries[e.Key] = e
	}
	got, err := decodeEntries(strings.NewReader(encodeEntries(t, values(entries))))
	require.NoError(t, err)
	require.Equal(t, entries, got)
}

func TestDeadlinesInSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, changes := anyEntries().Draw(t, "base"), anyEntries().Draw(t, "changes")
		var text strings.Builder
		_, chain, err := codec.EncodeBase(&text, values(base))
		require.NoError(t, err)
		var step codec.Step
		for _, e := range changes {
			step.Set(e)
		}
		line, _ := step.Line(chain)
		text.Write(line)
		got := map[string]codec.Entry{}
		found, err := codec.DecodeJournal(strings.NewReader(text.String()), addTo(got), func(changes []codec.Change) {
			for _, c := range changes {
				got[c.Key] = c.Entry
			}
		})
		require.NoError(t, err)
		require.Equal(t, 1, found.Steps)
		for key, e := range changes {
			base[key] = e
		}
		require.Equal(t, base, got)
	})
}

func TestDecodeRefusesDeadlinesThatAreNot(t *testing.T) {
	const rule = `an object, but not of the members "value" and "expires" alone`
	for _, c := range []struct{ name, value, problem, at string }{
		{"a second brace", `{{`, rule, `{`},
		{"nothing", `{}`, rule, `}`},
		{"a value alone", `{"value":"v"}`, rule, `}}`},
		{"a deadline alone", `{"expires":"2026-01-02T03:04:05Z"}`, rule, `}}`},
		{"another member", `{"value":"v","expire":"2026-01-02T03:04:05Z"}`, rule, `"expire"`},
		{"a third member", `{"value":"v","expires":"2026-01-02T03:04:05Z","x":"y"}`, rule, `,"x"`},
		{"a value twice", `{"value":"v","value":"w"}`, rule, `"value":"w"`},
		{"a deadline twice", `{"expires":"2026-01-02T03:04:05Z","expires":"2026-01-02T03:04:06Z"}`, rule, `"expires":"2026-01-02T03:04:06Z"`},
		{"a number", `{"value":1}`, rule, `1}`},
		{"a number as deadline", `{"value":"v","expires":1767323045}`, rule, `1767`},
		{"no colon", `{"value" "v"}`, rule, `"v"`},
		{"no comma", `{"value":"v" "expires":"2026-01-02T03:04:05Z"}`, rule, `"expires"`},
		{"an hour of one digit", `{"value":"v","expires":"2026-01-02T3:04:05Z"}`, "RFC 3339", `"2026`},
		{"another zone", `{"value":"v","expires":"2026-01-02T03:04:05+01:00"}`, "RFC 3339", `"2026`},
		{"UTC as a number", `{"value":"v","expires":"2026-01-02T03:04:05+00:00"}`, "RFC 3339", `"2026`},
		{"no zone", `{"value":"v","expires":"2026-01-02T03:04:05"}`, "RFC 3339", `"2026`},
		{"a date", `{"value":"v","expires":"2026-01-02"}`, "RFC 3339", `"2026`},
		{"a day that is none", `{"value":"v","expires":"2026-02-30T03:04:05Z"}`, "RFC 3339", `"2026`},
		{"nothing as a time", `{"value":"v","expires":""}`, "RFC 3339", `""`},
		{"a comma in the seconds", `{"value":"v","expires":"2026-01-02T03:04:05,5Z"}`, "RFC 3339", `"2026`},
		{"a string that is none", `{"value":"\x"}`, "invalid escape", `\x`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := `{"before":"b",` + "\n" + `"k":` + c.value + `}`
			_, err := decodeEntries(strings.NewReader(text))
			var syntax *codec.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, "k", syntax.Key)
			require.Equal(t, 2, syntax.Line)
			require.ErrorContains(t, err, `the value of "k"`)
			require.ErrorContains(t, err, c.problem)
			inValue := int64(strings.Index(text, c.value) + 1)
			require.Equal(t, inValue+int64(strings.Index(text[inValue:], c.at)), syntax.Offset)
		})
	}
}

func TestADeadlineThatIsCutOff(t *testing.T) {
	const text = `{"k":{"value":"v","expires":"2026-01-02T03:04:05Z"}}`
	for i := range len(text) {
		_, err := decodeEntries(strings.NewReader(text[:i]))
		require.ErrorContains(t, err, "unexpected EOF", text[:i])
	}
}

func TestJQGivesThePresentValues(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip(err)
	}
	jq := exec.Command("jq", "-c", `map_values(.value? // .)`)
	jq.Stdin = strings.NewReader(`{"a":"1","b":{"value":"2","expires":"2026-01-02T03:04:05Z"},"c":{"value":"","expires":"2026-01-02T03:04:05Z"}}`)
	out, err := jq.Output()
	require.NoError(t, err)
	require.Equal(t, `{"a":"1","b":"2","c":""}`+"\n", string(out))
}

// Times that an int64 of nanoseconds cannot hold.
func TestDeadlinesOfOtherMillennia(t *testing.T) {
	for text, want := range map[string]int64{
		"0000-01-01T00:00:00Z":           1,
		"1969-12-31T23:59:59Z":           1,
		"1970-01-01T00:00:00Z":           1,
		"1970-01-01T00:00:00.000000002Z": 2,
		"2262-04-11T23:47:16.854775807Z": math.MaxInt64,
		"2262-04-11T23:47:16.854775808Z": math.MaxInt64,
		"9999-12-31T23:59:59.999999999Z": math.MaxInt64,
	} {
		got, err := decodeEntries(strings.NewReader(`{"k":{"value":"v","expires":"` + text + `"}}`))
		require.NoError(t, err)
		require.Equal(t, map[string]codec.Entry{"k": {"k", "v", want}}, got)
	}
}

package codec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/windevkay/forge/genie/internal/codec"
)

// A journal is a text with steps, and the state of the map after each of its lines:
// states[0] is that of the object.
type journal struct {
	text   string
	lines  []string
	states []map[string]string
}

// newJournal writes base and then steps, each a map of the new values; "" deletes.
func newJournal(base map[string]string, steps ...map[string]string) journal {
	var text strings.Builder
	_, chain, _ := codec.EncodeBase(&text, untimed(maps.All(base)))
	j := journal{lines: []string{text.String()}, states: []map[string]string{base}}
	for _, changes := range steps {
		state := maps.Clone(j.states[len(j.states)-1])
		var step codec.Step
		for _, key := range slices.Sorted(maps.Keys(changes)) {
			if value := changes[key]; value != "" {
				step.Set(codec.Entry{Key: key, Value: value})
				state[key] = value
			} else {
				step.Delete(key)
				delete(state, key)
			}
		}
		var line []byte
		line, chain = step.Line(chain)
		j.lines = append(j.lines, string(line))
		j.states = append(j.states, state)
	}
	j.text = strings.Join(j.lines, "")
	return j
}

// fold returns what a journal stands for.
func fold(r io.Reader) (map[string]string, codec.Extent, error) {
	state := map[string]string{}
	found, err := codec.DecodeJournal(r, func(keys, values []string, _ []int64) int {
		for i, key := range keys {
			if _, exists := state[key]; exists {
				return i
			}
			state[key] = values[i]
		}
		return len(keys)
	}, func(changes []codec.Change) {
		for _, c := range changes {
			if c.Deleted {
				delete(state, c.Key)
			} else {
				state[c.Key] = c.Value
			}
		}
	})
	return state, found, err
}

func small() journal {
	return newJournal(map[string]string{"old": "x"},
		map[string]string{"k": "2", "old": ""},
		map[string]string{"a\"\\\n": "\xff", "k": "3"},
		map[string]string{"k": ""},
	)
}

func TestAJournalAsWritten(t *testing.T) {
	require.Equal(t, "{\"old\":\"x\"}\n"+
		`{"step":1,"prev":"9ffc9b17","set":{"k":"2"},"delete":["old"],"crc":"2cb84de5"}`+"\n",
		strings.Join(small().lines[:2], ""))
}

// sum returns the sum of a text, as a step has it.
func sum(text string) string {
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}

// The sums in the example of the format are made as those of this package.
func TestTheSumsOfTheFormat(t *testing.T) {
	require.Equal(t, "8d57bf7b", sum(`{"k":"1","old":"x","t":{"value":"y","expires":"2026-01-02T03:04:05Z"}}`))
	require.Equal(t, "c3d9d340", sum(`{"step":1,"prev":"8d57bf7b","set":{"k":"2"},"delete":["old"]`))
}

func TestAJournalIsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := rapid.MapOfN(anyString(), anyString(), 0, 20)
		base := rapid.MapOf(anyString(), anyString()).Draw(t, "base")
		steps := rapid.SliceOfN(changes, 0, 5).Draw(t, "steps")
		j := newJournal(base, steps...)
		state, found, err := fold(iotest.OneByteReader(strings.NewReader(j.text)))
		require.NoError(t, err)
		require.Equal(t, j.states[len(steps)], state)
		require.Equal(t, codec.Extent{Base: int64(len(j.lines[0]) - 1), Steps: len(steps)}, found)
	})
}

// Large objects end anywhere in the decoder's buffers, and a long step is one line.
func TestLargeJournals(t *testing.T) {
	for size := 65_400; size < 65_700; size += 7 {
		j := newJournal(map[string]string{"k": strings.Repeat("v", size)},
			map[string]string{"long": strings.Repeat("w", 200_000)}, map[string]string{"k": ""})
		for _, r := range []io.Reader{strings.NewReader(j.text), iotest.HalfReader(strings.NewReader(j.text))} {
			state, found, err := fold(r)
			require.NoError(t, err, size)
			require.Equal(t, 2, found.Steps)
			require.Equal(t, j.states[2], state)
		}
	}
}

func TestBlankLinesAndAMissingLastNewline(t *testing.T) {
	j := small()
	for _, text := range []string{
		strings.Join(j.lines, "\n \r\n\n"), strings.TrimSuffix(j.text, "\n"), j.text + "\n\n  ", "\n " + j.lines[0],
	} {
		_, _, err := fold(strings.NewReader(text))
		require.NoError(t, err, text)
	}
}

// A journal that is cut off anywhere behind its object is that of a crash: it loads
// the steps that are whole.
func TestAJournalCutOffAnywhere(t *testing.T) {
	j := small()
	for n := len(j.lines[0]); n <= len(j.text); n++ {
		whole, at := 0, len(j.lines[0])
		for whole < 3 && at+len(j.lines[whole+1])-1 <= n { // the last newline may be missing
			whole++
			at += len(j.lines[whole])
		}
		state, found, err := fold(strings.NewReader(j.text[:n]))
		require.NoError(t, err, n)
		require.Equal(t, j.states[whole], state, n)
		require.Equal(t, whole, found.Steps)
		require.EqualValues(t, max(0, n-at), found.Torn, n)
	}
}

// What a crash leaves of the last step, as a file system shows it: NUL bytes in any
// block, here of eight bytes.
func TestAStepThatIsPartlyZeros(t *testing.T) {
	j := small()
	before := len(j.text) - len(j.lines[3])
	for from := before; from < len(j.text); from += 8 {
		for to := from + 1; to <= len(j.text); to += 8 {
			text := []byte(j.text)
			clear(text[from:to])
			state, found, err := fold(bytes.NewReader(text))
			require.NoError(t, err, "%q", text)
			require.Equal(t, j.states[2], state)
			require.Positive(t, found.Torn)
		}
	}
}

// Any other damage is an error, or gives a state that was: never a mix.
func TestAChangedByteOfAJournal(t *testing.T) {
	j := small()
	refused := 0
	for i := range len(j.text) {
		for bit := range 8 {
			text := []byte(j.text)
			text[i] ^= 1 << bit
			state, found, err := fold(bytes.NewReader(text))
			if err != nil {
				refused++
				continue
			}
			require.True(t, found.Torn > 0 || isSpace(text[i]), "%q", text)
			require.Less(t, found.Steps, 4)
			require.Equal(t, j.states[found.Steps], state, "%q", text)
			require.GreaterOrEqual(t, found.Steps, 2, "only the last step may be dropped: %q", text)
		}
	}
	require.Greater(t, refused, 7*len(j.text), "nearly all")
}

func isSpace(c byte) bool { return strings.ContainsRune(" \t\r\n", rune(c)) }

func TestEditsOfAJournal(t *testing.T) {
	j, other := small(), newJournal(map[string]string{"other": "x"}, map[string]string{"k": "9"})
	edited := func(i int, old, new string) string {
		lines := slices.Clone(j.lines)
		lines[i] = strings.Replace(lines[i], old, new, 1)
		return strings.Join(lines, "")
	}
	const second = `{"step":2,"prev":"9ffc9b17","set":{},"delete":["old"]`
	for name, c := range map[string]struct{ text, err string }{
		"a first step of number two":      {j.lines[0] + second + `,"crc":"` + sum(second) + `"}`, "a step is missing"},
		"the object, steps behind":        {edited(0, "x", "y"), "take the change back, or delete the lines of the steps"},
		"the object, one step behind":     {strings.Replace(strings.Join(j.lines[:2], ""), "x", "y", 1), "take the change back"},
		"a value of the last step":        {edited(3, `"k"`, `"j"`), "its checksum is wrong"},
		"a value of the first step":       {edited(1, `"2"`, `"4"`), "its checksum is wrong"},
		"the sum of the last step":        {edited(3, `"crc":"`, `"crc":"0`), "neither a step"},
		"the first step out":              {j.lines[0] + j.lines[2] + j.lines[3], "a step is missing"},
		"a step out of the middle":        {j.lines[0] + j.lines[1] + j.lines[3], "a step is missing"},
		"a step twice":                    {j.text + j.lines[3], "a step is missing"},
		"steps in another order":          {j.lines[0] + j.lines[1] + j.lines[3] + j.lines[2], "a step is missing"},
		"a step of another file":          {j.text + other.lines[1], "a step is missing"},
		"the first step of another file":  {j.lines[0] + other.lines[1], "take the change back"},
		"text behind the object":          {"{} x\n", "text after the object"},
		"text in the next line":           {"{}\nx", "text after the object"},
		"another object":                  {j.lines[0] + `{"a":"b"}`, "text after the object"},
		"a step in the object's line":     {strings.TrimSpace(j.lines[0]) + j.lines[1], "text after the object"},
		"a step with space before it":     {j.lines[0] + " " + j.lines[1], "text after the object"},
		"a step behind a torn one":        {j.lines[0] + j.lines[1][:20] + "\n" + j.lines[1], "neither a step"},
		"a step behind zeros":             {j.lines[0] + "\x00\x00\n" + j.lines[1], "text after the object"},
		"the object, a torn step behind":  {strings.Replace(j.lines[0], "x", "y", 1) + j.lines[1][:40], "neither a step"},
		"a torn step out of its order":    {j.lines[0] + j.lines[2][:40], "neither a step"},
		"half a step with a line feed":    {j.lines[0] + j.lines[1][:20] + "\n", "neither a step"},
		"a step that is JSON, not closed": {j.lines[0] + `{"step":1}`, "neither a step"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := fold(strings.NewReader(c.text))
			var syntax *codec.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.ErrorContains(t, err, c.err)
			require.Equal(t, 1+strings.Count(c.text[:syntax.Offset], "\n"), syntax.Line)
		})
	}
	state, _, err := fold(strings.NewReader(j.lines[0] + j.lines[1]))
	require.NoError(t, err, "lines taken off the end leave an older state")
	require.Equal(t, j.states[1], state)
}

// Decode, which reads plain backups, refuses steps and torn ends.
func TestDecodeRefusesSteps(t *testing.T) {
	j := small()
	for _, text := range []string{j.text, j.lines[0] + j.lines[1][:10], j.lines[0] + "\x00"} {
		require.ErrorContains(t, codec.Decode(strings.NewReader(text), all), "text after the object")
	}
}

func TestAReadErrorBehindTheObject(t *testing.T) {
	j := small()
	for n := range len(j.text) {
		r := io.MultiReader(strings.NewReader(j.text[:n]), iotest.ErrReader(io.ErrClosedPipe))
		_, _, err := fold(r)
		require.ErrorIs(t, err, io.ErrClosedPipe, n)
	}
}

// The recipe of docs/format.md, for those who have jq and not this package.
func TestJQFoldsAJournal(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip(err)
	}
	j := newJournal(map[string]string{"a": "1", "b": "2"}, map[string]string{"a": "3", "c": "4"}, map[string]string{"b": ""})
	jq := exec.Command("jq", "-n",
		`reduce inputs as $s (null; if . == null then $s else . + $s.set | delpaths([$s.delete[]|[.]]) end)`)
	jq.Stdin = strings.NewReader(j.text)
	out, err := jq.Output()
	require.NoError(t, err)
	var state map[string]string
	require.NoError(t, json.Unmarshal(out, &state))
	require.Equal(t, j.states[2], state)
}

func TestAStepThatChangesNothing(t *testing.T) {
	var step codec.Step
	require.True(t, step.IsEmpty())
	step.Delete("a")
	require.False(t, step.IsEmpty())
}

// FuzzDecodeJournal spoils a journal. A text that is still read stands for a state
// that was, unless the fuzzer has made sums that are right.
func FuzzDecodeJournal(f *testing.F) {
	f.Add(uint16(0), []byte(nil), uint16(0))
	f.Add(uint16(40), []byte("\x00\x00"), uint16(3))
	f.Add(uint16(200), []byte("{}"), uint16(400))
	f.Fuzz(func(t *testing.T, at uint16, insert []byte, remove uint16) {
		j := small()
		from := int(at) % (len(j.text) + 1)
		to := min(len(j.text), from+int(remove))
		text := j.text[:from] + string(insert) + j.text[to:]
		state, found, err := fold(strings.NewReader(text))
		if err != nil || from < len(j.lines[0]) {
			return // an object that was changed is another object, if no step is left
		}
		require.LessOrEqual(t, found.Steps, 3)
		require.Equal(t, j.states[found.Steps], state)
	})
}

func BenchmarkStep(b *testing.B) {
	keys := make([]string, 1_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%012d", rand.IntN(1_000_000))
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			var step codec.Step
			for _, key := range keys {
				step.Set(codec.Entry{Key: key, Value: key})
			}
			line, _ := step.Line(codec.Chain{})
			b.SetBytes(int64(len(line)))
		}
	})
}

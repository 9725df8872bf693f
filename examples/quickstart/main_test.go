package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie"
)

// The test program is the worker, too: os.Executable names it.
func TestMain(m *testing.M) {
	if isWorker() {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// sources makes a folder with files of words, and one that is not text.
func sources(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "sub"), 0o700))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 100 {
		var text strings.Builder
		for range 50 {
			fmt.Fprintf(&text, "word%d, ", random.IntN(300))
		}
		name := filepath.Join(folder, "sub", fmt.Sprintf("line\n%d", i))
		require.NoError(t, os.WriteFile(name, []byte(text.String()), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "picture"), []byte("word1 \xff"), 0o600))
	return folder
}

// scratch makes temporary folders begin in a folder that must be empty at the end.
func scratch(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

func TestTour(t *testing.T) {
	scratch(t)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{sources(t)}, &out))
	require.Contains(t, out.String(), "Counting the words of 101 files")
	require.Regexp(t, `in use by process \d+`, out.String())
	require.Contains(t, out.String(), "genie: yes, 300 different words in 101 files.")
}

// A folder may be so small that a worker has counted all before it is killed.
func TestTourOfSmallFolders(t *testing.T) {
	for _, n := range []int{1, 2, 30} {
		scratch(t)
		folder := t.TempDir()
		for i := range n {
			require.NoError(t, os.WriteFile(filepath.Join(folder, fmt.Sprint(i)), []byte("a word"), 0o600))
		}
		require.NoError(t, run(t.Context(), []string{folder}, io.Discard), "%d files", n)
	}
}

// README shows the output of a real run: every line of it is one that the program
// still prints, but for numbers and names.
func TestReadmeShowsTheTour(t *testing.T) {
	scratch(t)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(readme), "\n    $ go run ./examples/quickstart\n")
	require.True(t, found)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{sources(t)}, &out))
	require.Equal(t, shape(out.String()), shape(indented(shown)))
}

// indented returns the block of indented lines at the start of text, as it was.
func indented(text string) string {
	var block strings.Builder
	for line := range strings.Lines(text) {
		inside, ok := strings.CutPrefix(line, "    ")
		if !ok && strings.TrimSpace(line) != "" {
			break
		}
		if !ok {
			inside = "\n"
		}
		block.WriteString(inside)
	}
	return block.String()
}

var (
	progress = regexp.MustCompile(`(?m)^  \d+ of \d+\n`)
	path     = regexp.MustCompile(`/\S+[^\s:,]`)
	number   = regexp.MustCompile(`[\d.]+`)
	duration = regexp.MustCompile(` *#(m|µ)?s\b`)
)

// shape takes out of an output what differs from run to run.
func shape(output string) string {
	output = path.ReplaceAllString(progress.ReplaceAllString(output, ""), "PATH")
	return strings.TrimSpace(duration.ReplaceAllString(number.ReplaceAllString(output, "#"), " TIME"))
}

// A canceller cancels when the tour prints this text.
type canceller struct {
	at     string
	cancel func()
}

func (c canceller) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.at) {
		c.cancel()
	}
	return len(p), nil
}

func TestInterruptedTourLeavesNothing(t *testing.T) {
	for _, at := range []string{"Counting", "Killed", "Started a second", "All files", "slowest", "beyond"} {
		t.Run(at, func(t *testing.T) {
			scratch(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			require.ErrorIs(t, run(ctx, []string{sources(t)}, canceller{at, cancel}), context.Canceled)
		})
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		err  string
	}{
		{"two folders", []string{"a", "b"}, "2 folders given"},
		{"no such folder", []string{filepath.Join(t.TempDir(), "none")}, "none"},
		{"empty folder", []string{t.TempDir()}, "has no files"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scratch(t)
			require.ErrorContains(t, run(t.Context(), c.args, &bytes.Buffer{}), c.err)
		})
	}
	folder, err := parse(t.Context(), nil)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(folder, "fmt", "print.go"))
	_, err = parse(t.Context(), []string{"-h"})
	require.ErrorIs(t, err, flag.ErrHelp)
}

// The tour must fail if the store has other counts than the plain map.
func TestCompareTellsDifferences(t *testing.T) {
	folder := sources(t)
	files, err := list(folder)
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		change func(store *genie.Store)
		err    string
	}{
		{"nothing", func(*genie.Store) {}, ""},
		{"a word is counted twice", func(s *genie.Store) { s.Set(word+"word7", "9999") }, `"word7" is counted 9999 times`},
		{"a word is lost", func(s *genie.Store) { s.Delete(word + "word7") }, "299 words, not 300"},
		{"a word is made up", func(s *genie.Store) { s.Set(word+"other", "1") }, `"other" is counted 1 times, not 0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			tour := &tour{out: &bytes.Buffer{}, folder: folder, files: files, path: filepath.Join(t.TempDir(), "words.json")}
			store, err := genie.NewStore(genie.WithPath(tour.path))
			require.NoError(t, err)
			require.NoError(t, countAll(store, folder, files, io.Discard))
			c.change(store)
			require.NoError(t, store.Close())
			if err := tour.compare(t.Context()); c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
}

// A worker goes on from a backup that has some files.
func TestWorkerCountsOnlyWhatIsMissing(t *testing.T) {
	folder, path := sources(t), filepath.Join(t.TempDir(), "words.json")
	store, err := genie.NewStore(genie.WithPath(path))
	require.NoError(t, err)
	require.NoError(t, countAll(store, folder, []string{"picture"}, io.Discard))
	require.NoError(t, store.Close())
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	require.NoError(t, work(path, folder, strings.NewReader(""), out))
	counted, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	require.Equal(t, 102, strings.Count(string(counted), "\n"), "the files, and two empty names")
	require.NotContains(t, string(counted), "picture")
}

// A write that the disk refuses shows as the program's error.
func TestPlantedFailures(t *testing.T) {
	tour := &tour{out: &bytes.Buffer{}, path: filepath.Join(t.TempDir(), "words.json")}
	require.NoError(t, os.WriteFile(tour.path, []byte(`{"word:a":"1"}`), 0o600))
	require.ErrorContains(t, tour.unchanged([]byte(`{}`)), "has changed the file")
	store, err := genie.NewStore(genie.WithPath(filepath.Join(t.TempDir(), "other.json")))
	require.NoError(t, err)
	store.Set("word:b", "1")
	require.ErrorContains(t, tour.holdsAll(store), "lacks an entry")
	require.NoError(t, store.Close())
}

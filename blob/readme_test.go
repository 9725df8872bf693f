package blob_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/blob"
)

// withoutIndents returns text in which lines begin at the margin.
func withoutIndents(text string) string {
	return regexp.MustCompile(`(?m)^[\t ]+`).ReplaceAllString(text, "")
}

// The code of README is code that is compiled and run, and its JSON is JSON.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var sources strings.Builder
	for _, name := range []string{"example_test.go", "blobtest/blobtest.go"} {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		sources.WriteString(withoutIndents(strings.ReplaceAll(string(source), "\n//\t", "\n")))
	}
	blocks := regexp.MustCompile("(?s)```(go|json)\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 7)
	for _, block := range blocks {
		switch {
		case block[1] == "json":
			require.True(t, json.Valid([]byte(block[2])), block[2])
		case strings.HasPrefix(block[2], "import"): // the test of the command opens such URLs
		default:
			require.Contains(t, sources.String(), withoutIndents(block[2]))
		}
	}
}

// Each test and benchmark exists that README or a doc comment names.
func TestReadmeNamesTests(t *testing.T) {
	var pages, tests strings.Builder
	for pattern, to := range map[string]*strings.Builder{"README.md": &pages, "*.go": &pages, "*_test.go": &tests, "cmd/geniebackup/*_test.go": &tests} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, name := range files {
			if to == &pages && strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			to.Write(source)
		}
	}
	names := regexp.MustCompile(`\b(Test|Benchmark)[A-Z][A-Za-z0-9]+`).FindAllString(pages.String(), -1)
	require.Greater(t, len(names), 10)
	require.Contains(t, names, "BenchmarkList", "which blob.go names")
	for _, name := range names {
		if name != "TestOurBucket" { // the test of a reader
			require.True(t, strings.Contains(tests.String(), "func "+name+"("), name)
		}
	}
}

// The start of README that could not restore leaves a file without entries. The next start restores.
func TestTheProgramOfReadmeStartsAgain(t *testing.T) {
	copies, err := blob.New(folder(t, t.TempDir()), "app")
	require.NoError(t, err)
	_, err = copies.Copy(t.Context(), filled(t, 5))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "new machine.json")
	outage, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = open(outage, path, copies)
	require.ErrorIs(t, err, context.Canceled)
	for range 2 {
		store, err := open(t.Context(), path, copies)
		require.NoError(t, err)
		require.Equal(t, 5, store.Len())
		require.NoError(t, store.Close())
	}
}

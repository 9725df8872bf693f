package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var (
	environment = os.Environ() // as it was before TestMain
	scratch     string         // a folder of all tests, open to anybody
)

// TestMain gives the tests a home of their own, and looks for goroutines that
// were left behind.
func TestMain(m *testing.M) {
	var err error
	scratch, err = os.MkdirTemp("", "quickstart-")
	if err == nil {
		err = os.Chmod(scratch, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for name, value := range homeAt(filepath.Join(scratch, "home")) {
		os.Setenv(name, value)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(scratch)
		os.Exit(code)
	}))
}

// homeAt returns the variables that say where a user's home and cache are, on
// all systems.
func homeAt(home string) map[string]string {
	return map[string]string{
		"HOME": home, "USERPROFILE": home, "XDG_CACHE_HOME": "", "LocalAppData": home,
	}
}

// A tree is a folder that changes between runs.
type tree struct {
	t      *testing.T
	folder string
}

func newTree(t *testing.T, contents map[string]string) tree {
	t.Helper()
	folder, err := filepath.EvalSymlinks(t.TempDir()) // macOS has links there
	require.NoError(t, err)
	tr := tree{t, folder}
	for name, text := range contents {
		tr.write(name, text)
	}
	return tr
}

func (tr tree) path(name string) string {
	return filepath.Join(tr.folder, filepath.FromSlash(name))
}

func (tr tree) write(name, text string) {
	tr.t.Helper()
	require.NoError(tr.t, os.MkdirAll(filepath.Dir(tr.path(name)), 0o755))
	require.NoError(tr.t, os.WriteFile(tr.path(name), []byte(text), 0o644))
}

func (tr tree) remove(name string) {
	tr.t.Helper()
	require.NoError(tr.t, os.RemoveAll(tr.path(name)))
}

// outcome is what a run leaves for its user.
type outcome struct {
	code           int
	stdout, stderr string
}

// runHere is the program without a process of its own.
func runHere(ctx context.Context, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// listed returns the names under a title of the report.
func (o outcome) listed(title string) []string {
	var names []string
	_, after, _ := strings.Cut(o.stdout, "\n"+title+":\n")
	for line := range strings.Lines(after) {
		name, ok := strings.CutPrefix(line, "    ")
		if !ok {
			break
		}
		names = append(names, strings.TrimSuffix(name, "\n"))
	}
	return names
}

func requireNews(t *testing.T, o outcome, added, changed, gone []string) {
	t.Helper()
	require.Zero(t, o.code, o.stderr)
	require.Equal(t, added, o.listed("new"), o.stdout)
	require.Equal(t, changed, o.listed("changed"), o.stdout)
	require.Equal(t, gone, o.listed("gone"), o.stdout)
}

func TestRunsCompareWithTheLastOne(t *testing.T) {
	tr := newTree(t, map[string]string{"a.txt": "1", "sub/b.txt": "1", "sub/c.txt": "1"})

	o := runHere(t.Context(), tr.folder)
	requireNews(t, o, []string{"a.txt", "sub/b.txt", "sub/c.txt"}, nil, nil)
	require.Contains(t, o.stdout, "first look: 3 new\n")

	o = runHere(t.Context(), tr.folder)
	requireNews(t, o, nil, nil, nil)
	require.Regexp(t, `since 20\d\d-.*: nothing new, changed or gone\n`, o.stdout)

	tr.write("a.txt", "2")
	tr.remove("sub/b.txt")
	tr.write("d.txt", "")
	o = runHere(t.Context(), tr.folder)
	requireNews(t, o, []string{"d.txt"}, []string{"a.txt"}, []string{"sub/b.txt"})
	require.Contains(t, o.stdout, ": 1 new, 1 changed, 1 gone\n")
	require.Empty(t, o.stderr)
}

func TestFoldersHaveStatesOfTheirOwn(t *testing.T) {
	one, other := newTree(t, map[string]string{"a": ""}), newTree(t, map[string]string{"b": ""})
	requireNews(t, runHere(t.Context(), one.folder), []string{"a"}, nil, nil)
	requireNews(t, runHere(t.Context(), other.folder), []string{"b"}, nil, nil)
	requireNews(t, runHere(t.Context(), one.folder), nil, nil, nil)
}

func TestTheCurrentFolderIsTheDefault(t *testing.T) {
	tr := newTree(t, map[string]string{"a": ""})
	t.Chdir(tr.folder)
	requireNews(t, runHere(t.Context()), []string{"a"}, nil, nil)
	requireNews(t, runHere(t.Context(), tr.folder), nil, nil, nil)
}

func TestBackupInsideTheFolderIsNoNews(t *testing.T) {
	tr := newTree(t, map[string]string{"a": "1", "sub/state.json": "another file"})
	t.Chdir(tr.folder)
	o := runHere(t.Context(), "-backup", "state.json")
	requireNews(t, o, []string{"a", "sub/state.json"}, nil, nil)
	require.FileExists(t, tr.path("state.json"))
	requireNews(t, runHere(t.Context(), "-backup", tr.path("state.json")), nil, nil, nil)

	// What a run that was killed leaves beside the backup.
	tr.write("state.json.loaded", "{}")
	tr.write("state.json.prev", "{}")
	tr.write(".state.json.tmp-1", "{}")
	requireNews(t, runHere(t.Context(), "-backup", "state.json"), nil, nil, nil)
}

func TestInterruptedRunMissesNothing(t *testing.T) {
	tr := newTree(t, map[string]string{"a": "1", "b": "1"})
	runHere(t.Context(), tr.folder)
	tr.remove("a")
	tr.write("b", "2")

	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	o := runHere(interrupted, tr.folder)
	require.Zero(t, o.code, o.stderr)
	require.Contains(t, o.stdout, "interrupted: ")
	require.Empty(t, o.listed("gone"), "a was not looked for")

	o = runHere(t.Context(), tr.folder)
	require.Equal(t, []string{"a"}, o.listed("gone"))
}

func TestReportThatCannotBeWrittenIsRepeated(t *testing.T) {
	tr := newTree(t, map[string]string{"a": "1"})
	var stderr bytes.Buffer
	require.Equal(t, 1, run(t.Context(), []string{tr.folder}, failing{}, &stderr))
	require.Contains(t, stderr.String(), "quickstart: "+errFull.Error())
	requireNews(t, runHere(t.Context(), tr.folder), []string{"a"}, nil, nil)
}

var errFull = errors.New("disk full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestErrors(t *testing.T) {
	tr := newTree(t, map[string]string{"file": "", "corrupt.json": `{"a": 1}`})
	tests := map[string]struct {
		args []string
		says string
	}{
		"two folders":        {[]string{"a", "b"}, "one folder at a time"},
		"unknown flag":       {[]string{"-x"}, "not defined: -x"},
		"no such folder":     {[]string{tr.path("none")}, tr.path("none")},
		"not a folder":       {[]string{tr.path("file")}, tr.path("file")},
		"backup in no place": {[]string{"-backup", tr.path("none/b.json"), tr.folder}, tr.path("none")},
		"corrupt backup":     {[]string{"-backup", tr.path("corrupt.json"), tr.folder}, "line 1, byte 6"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := runHere(t.Context(), tt.args...)
			require.Equal(t, 1, o.code)
			require.Empty(t, o.stdout)
			require.Contains(t, o.stderr, "quickstart: ")
			require.Contains(t, o.stderr, tt.says)
		})
	}
}

func TestHelp(t *testing.T) {
	o := runHere(t.Context(), "-h")
	require.Zero(t, o.code)
	require.Empty(t, o.stderr)
	for _, word := range []string{"[folder]", "-backup", "-v", "exit code"} {
		require.Contains(t, o.stdout, word)
	}
}

func TestDescriptionOfTheBackup(t *testing.T) {
	tr := newTree(t, map[string]string{"a": "1", "b": "1", "c": "1"})
	backup := filepath.Join(t.TempDir(), "state.json")
	o := runHere(t.Context(), "-backup", backup, tr.folder)
	info, err := os.Stat(backup)
	require.NoError(t, err)
	require.Contains(t, o.stdout, fmt.Sprintf(`
backup: %s
    entries: 4, %d B
    file:a = 6b86b273ff34fce19d6b…
    file:b = 6b86b273ff34fce19d6b…
    file:c = 6b86b273ff34fce19d6b…
`, backup, info.Size()))
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// A result is what a run of the command leaves.
type result struct {
	code             int
	output, messages string
}

// geniebackup runs the command.
func geniebackup(t *testing.T, args ...string) result {
	t.Helper()
	var output, messages bytes.Buffer
	code := run(t.Context(), args, &output, &messages)
	return result{code, output.String(), messages.String()}
}

// fileWith returns the path of a file with text in it.
func fileWith(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.json")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func contentsOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// bucketWith returns a folder with copies of files with these texts, and their names.
func bucketWith(t *testing.T, texts ...string) (folder string, names []string) {
	t.Helper()
	folder = t.TempDir()
	for _, text := range texts {
		got := geniebackup(t, "copy", fileWith(t, text), folder)
		require.Equal(t, result{code: exitDone, output: got.output}, got)
		require.Regexp(t, `^copied \d+ entr(y|ies), \d+ B, as \S+\.json\n$`, got.output)
		names = append(names, strings.Fields(got.output)[len(strings.Fields(got.output))-1])
	}
	return folder, names
}

// damage changes a byte of a copy.
func damageCopy(t *testing.T, folder, name string) {
	t.Helper()
	path := filepath.Join(folder, name)
	text := []byte(contentsOf(t, path))
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

func TestCopyAndRestore(t *testing.T) {
	folder, names := bucketWith(t, `{"a":"1"}`, `{"a":"2","b":"3"}`)
	listed := geniebackup(t, "list", folder)
	require.Equal(t, exitDone, listed.code)
	lines := strings.Split(strings.TrimSpace(listed.output), "\n")
	require.Len(t, lines, 2)
	for i, line := range lines {
		require.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  \d+ B +\S+$`, line)
		require.True(t, strings.HasSuffix(line, names[i]))
	}
	require.Equal(t, result{exitDone, "whole: " + names[0] + ", 10 B\nwhole: " + names[1] + ", 18 B\n", ""}, geniebackup(t, "verify", folder))
	require.Equal(t, result{exitDone, "whole: " + names[0] + ", 10 B\n", ""}, geniebackup(t, "verify", "-copy", names[0], folder))

	file := filepath.Join(t.TempDir(), "restored.json")
	want := result{exitDone, "restored 2 entries from " + names[1] + " to " + file + "\n", ""}
	require.Equal(t, want, geniebackup(t, "restore", folder, file))
	store, err := genie.NewStore(genie.WithPath(file))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "2", "b": "3"}, store.Snapshot())
	require.NoError(t, store.Close())

	refused := geniebackup(t, "restore", "-copy", names[0], folder, file)
	require.Equal(t, exitFailed, refused.code)
	require.Contains(t, refused.messages, "has 2 entries; -replace replaces them")
	require.Equal(t, exitDone, geniebackup(t, "restore", "-replace", "-copy", names[0], folder, file).code)
	require.JSONEq(t, `{"a":"1"}`, contentsOf(t, file))
	require.Equal(t, exitDone, geniebackup(t, "restore", "-replace", "-copy", "newest", folder, file).code)
	require.JSONEq(t, `{"a":"2","b":"3"}`, contentsOf(t, file))
}

func TestDamagedCopies(t *testing.T) {
	folder, names := bucketWith(t, `{"a":"1"}`, `{"a":"2"}`)
	damageCopy(t, folder, names[1])
	got := geniebackup(t, "verify", folder)
	require.Equal(t, exitSomeDamaged, got.code)
	require.Regexp(t, "^whole: "+names[0]+".*\nverify: damaged copy: "+names[1]+": the SHA-256", got.output)
	require.Equal(t, "geniebackup: 1 of 2 copies are damaged\n", got.messages)

	file := filepath.Join(t.TempDir(), "restored.json")
	got = geniebackup(t, "restore", folder, file)
	require.Equal(t, exitSomeDamaged, got.code)
	require.Regexp(t, "^geniebackup: passed over 1 newer copy\ndamaged copy: "+names[1]+": ", got.messages)
	require.JSONEq(t, `{"a":"1"}`, contentsOf(t, file))

	for _, name := range []string{"newest", names[1]} {
		got = geniebackup(t, "verify", "-copy", name, folder)
		require.Equal(t, exitSomeDamaged, got.code)
		require.Equal(t, "geniebackup: this copy is damaged; the others were not read\n", got.messages)
		got = geniebackup(t, "restore", "-replace", "-copy", name, folder, file)
		require.Equal(t, exitFailed, got.code, "a whole copy is there")
		require.Contains(t, got.messages, "nothing was restored, as only this copy was tried: ")
		require.Contains(t, got.messages, names[1])
		require.JSONEq(t, `{"a":"1"}`, contentsOf(t, file))
	}

	damageCopy(t, folder, names[0])
	require.Equal(t, exitAllDamaged, geniebackup(t, "verify", folder).code)
	got = geniebackup(t, "restore", "-replace", folder, file)
	require.Equal(t, exitAllDamaged, got.code)
	require.NotContains(t, got.messages, "genie/blob", "the command has a name of its own")
	require.JSONEq(t, `{"a":"1"}`, contentsOf(t, file))
	none := filepath.Join(t.TempDir(), "none.json")
	require.Equal(t, exitAllDamaged, geniebackup(t, "restore", folder, none).code)
	require.NoFileExists(t, none)
}

// Copies are removed only where the command line has a rule, as the rule of the program that made
// them is not known.
func TestKeepFlags(t *testing.T) {
	folder, file := t.TempDir(), fileWith(t, `{"a":"1"}`)
	copied := func(flags ...string) string {
		t.Helper()
		got := geniebackup(t, slices.Concat([]string{"copy"}, flags, []string{file, folder})...)
		require.Equal(t, exitDone, got.code, got.messages)
		first, rest, _ := strings.Cut(got.output, "\n")
		require.Regexp(t, "^copied 1 entry", first)
		return rest
	}
	copies := func() int {
		return strings.Count(geniebackup(t, "list", folder).output, "\n")
	}
	for n := range 26 {
		require.Empty(t, copied(), "nothing is removed")
		require.Equal(t, n+1, copies())
	}
	require.Equal(t, "removed 3 older copies\n", copied("-keep-days", "0"), "24 stay unless -keep-last is given")
	require.Equal(t, 24, copies())
	require.Equal(t, "removed 22 older copies\n", copied("-keep-last", "3", "-keep-days", "0"))
	require.Equal(t, "removed 1 older copy\n", copied("-keep-last", "3", "-keep-days", "0"))
	require.Equal(t, "removed 0 older copies\n", copied("-keep-last", "4"))
	require.Equal(t, 4, copies())
	for _, wrong := range [][]string{{"-keep-last", "0"}, {"-keep-days", "-1"}} {
		require.Equal(t, exitUsage, geniebackup(t, "copy", wrong[0], wrong[1], file, folder).code)
	}
	require.Equal(t, 4, copies())
}

func TestCommandLines(t *testing.T) {
	folder, _ := bucketWith(t, `{"a":"1"}`)
	file := fileWith(t, `{"a":"1"}`)
	missing := filepath.Join(t.TempDir(), "none")
	tests := map[string]struct {
		args     []string
		code     int
		messages string // a regular expression
	}{
		"no command":                    {nil, exitUsage, "^geniebackup: wrong command line: no command\ngeniebackup -h explains the commands and flags\n$"},
		"an unknown command":            {[]string{"dog"}, exitUsage, `unknown command "dog"`},
		"an unknown flag":               {[]string{"list", "-dog", folder}, exitUsage, "-dog"},
		"a flag of another":             {[]string{"list", "-replace", folder}, exitUsage, "-replace"},
		"too few arguments":             {[]string{"copy", file}, exitUsage, "copy takes FILE BUCKET, and has .*app.json\n"},
		"too many arguments":            {[]string{"list", folder, folder}, exitUsage, "list takes BUCKET, and has "},
		"no arguments":                  {[]string{"restore"}, exitUsage, "restore takes BUCKET FILE, and has nothing\n"},
		"a flag at the end":             {[]string{"list", folder, "-prefix", "app"}, exitUsage, "list takes BUCKET, and has .* -prefix app; flags go before BUCKET\n"},
		"a wrong prefix":                {[]string{"list", "-prefix", "/app/", folder}, exitUsage, "not a path"},
		"a wrong prefix, no file":       {[]string{"copy", "-prefix", "/app/", missing, folder}, exitUsage, "not a path"},
		"a wrong prefix, no credential": {[]string{"list", "-prefix", "/app/", "s3://bucket?profile=none"}, exitUsage, "not a path"},
		"a wrong rule, no file":         {[]string{"copy", "-keep-last", "0", missing, folder}, exitUsage, "at least one copy must stay"},
		"an empty name to restore":      {[]string{"restore", "-copy", "", folder, missing}, exitUsage, "-copy has no name"},
		"an empty name to verify":       {[]string{"verify", "-copy=", folder}, exitUsage, "-copy has no name"},
		"no folder for FILE, no bucket": {[]string{"restore", missing, filepath.Join(missing, "a.json")}, exitFailed, `\.geniebackup-`},
		"no folder":                     {[]string{"list", missing}, exitFailed, "none: no such file"},
		"a file for a folder":           {[]string{"list", file}, exitFailed, "not a directory"},
		"an unknown service":            {[]string{"list", "ftp://bucket"}, exitFailed, "ftp"},
		"no copy":                       {[]string{"list", "-prefix", "other", folder}, exitNoCopy, `no copy under prefix "other/"`},
		"no copy to restore":            {[]string{"restore", "-prefix", "other", folder, missing}, exitNoCopy, "no copy under"},
		"no copy to verify":             {[]string{"verify", "-prefix", "other", folder}, exitNoCopy, "no copy under"},
		"no such copy":                  {[]string{"verify", "-copy", "dog", folder}, exitFailed, "no copy has the name dog"},
		"no file to copy":               {[]string{"copy", missing, folder}, exitFailed, "none: file does not exist"},
		"a damaged file":                {[]string{"copy", fileWith(t, "{"), folder}, exitFailed, "corrupt backup: line 1"},
		"over a damaged file":           {[]string{"restore", "-replace", folder, fileWith(t, "{")}, exitFailed, "move the file away first"},
		"into no folder":                {[]string{"restore", folder, filepath.Join(missing, "a.json")}, exitFailed, "none"},
		"a file URL":                    {[]string{"list", "file://" + filepath.ToSlash(folder)}, exitDone, "^$"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := geniebackup(t, tt.args...)
			require.Equal(t, tt.code, got.code, got.messages)
			require.Regexp(t, tt.messages, got.messages)
			if tt.code != exitDone {
				require.Empty(t, got.output)
			}
		})
	}
	require.NoFileExists(t, missing)
}

// A full is a writer that has no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

// A result that is lost is no success, and what was done stays done.
func TestOutputIsFull(t *testing.T) {
	folder, _ := bucketWith(t, `{"a":"1"}`)
	restored := filepath.Join(t.TempDir(), "restored.json")
	for _, args := range [][]string{{"copy", fileWith(t, `{"a":"2"}`), folder}, {"list", folder}, {"verify", folder}, {"restore", folder, restored}, {"help"}} {
		var messages bytes.Buffer
		require.Equal(t, exitFailed, run(t.Context(), args, full{}, &messages), args[0])
		require.Equal(t, "geniebackup: print the result: no room\n", messages.String())
	}
	require.JSONEq(t, `{"a":"2"}`, contentsOf(t, restored))
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"help", "copy"}, {"-h"}, {"--help"}, {"copy", "-h"}, {"restore", "-help", "x"}} {
		require.Equal(t, result{exitDone, usage, ""}, geniebackup(t, args...))
	}
}

// Every flag is in the help, with the default that it has, and the help has no other.
func TestHelpHasEveryFlag(t *testing.T) {
	described := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^  -([a-z-]+) `).FindAllStringSubmatch(usage, -1) {
		described[found[1]] = true
	}
	for name, a := range actions {
		require.Contains(t, usage, "\n  geniebackup "+name+" [flags] ")
		flags := newCommand(nil, nil).flags(name, a.own)
		for _, flag := range append([]string{"prefix", "quiet"}, a.own...) {
			require.NotNil(t, flags.Lookup(flag), flag)
			require.True(t, described[flag], flag)
		}
	}
	own := []string{"prefix", "quiet"}
	for _, a := range actions {
		own = append(own, a.own...)
	}
	for flag := range described {
		require.True(t, slices.Contains(own, flag), flag)
	}
	require.Regexp(t, `-keep-last N .*\(24\)`, usage)
	require.Regexp(t, `-keep-days N .*\(30\)`, usage)
}

// asMain has the test binary be the command.
func asMain(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(self, args...)
	child.Env = append(os.Environ(), "GENIE_TEST_MAIN=1")
	t.Cleanup(func() { _ = child.Process.Kill() })
	return child
}

// TestMain makes the test binary the command, or a program that owns a file, if the environment
// asks for one.
func TestMain(m *testing.M) {
	if os.Getenv("GENIE_TEST_MAIN") != "" {
		main()
	}
	if path := os.Getenv("GENIE_TEST_OWN"); path != "" {
		own(path)
	}
	os.Exit(m.Run())
}

// own owns the file at path until standard input ends.
func own(path string) {
	store, err := genie.NewStore(genie.WithPath(path))
	if err == nil {
		fmt.Println("owned")
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// owned starts a program that owns a file, and returns its process and how it ends.
func owned(t *testing.T, file string) (owner *os.Process, end func()) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	program := exec.Command(self)
	program.Env = append(os.Environ(), "GENIE_TEST_OWN="+file)
	input, err := program.StdinPipe()
	require.NoError(t, err)
	output, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	_, err = output.Read(make([]byte, 1))
	require.NoError(t, err)
	return program.Process, func() {
		require.NoError(t, input.Close())
		require.NoError(t, program.Wait())
	}
}

// The program that owns a file goes on. A copy is made beside it, and a restore gives up.
func TestBesideAProgram(t *testing.T) {
	folder, _ := bucketWith(t, `{"a":"of the bucket"}`)
	file := fileWith(t, `{"a":"of the program"}`)
	_, end := owned(t, file)
	require.Equal(t, exitDone, geniebackup(t, "copy", file, folder).code)
	got := geniebackup(t, "restore", "-replace", folder, file)
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.messages, "in use by process")
	end()
	require.JSONEq(t, `{"a":"of the program"}`, contentsOf(t, file))

	require.Equal(t, exitDone, geniebackup(t, "restore", "-replace", folder, file).code)
	require.JSONEq(t, `{"a":"of the program"}`, contentsOf(t, file), "the copy that was made meanwhile")
}

// The commands of README, as they stand there, in another folder.
func TestReadmeCommands(t *testing.T) {
	readme := contentsOf(t, filepath.Join("..", "..", "README.md"))
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "bucket"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "app.json"), []byte(`{"greeting":"hello"}`), 0o600))
	lines := regexp.MustCompile(`(?m)^    go run ./cmd/geniebackup (.*)$`).FindAllStringSubmatch(readme, -1)
	require.Len(t, lines, 4)
	for _, line := range lines {
		args := strings.Fields(strings.ReplaceAll(line[1], "/tmp", folder))
		got := geniebackup(t, args...)
		require.Equal(t, exitDone, got.code, "%s: %s", line[0], got.messages)
		require.Equal(t, 1, strings.Count(got.output, "\n"), got.output)
	}
	require.JSONEq(t, `{"greeting":"hello"}`, contentsOf(t, filepath.Join(folder, "restored.json")))
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// TestMain makes the test binary the command itself, or a program that owns a file,
// if the environment asks for one.
func TestMain(m *testing.M) {
	switch os.Getenv("GENIE_TEST_RUN") {
	case "command":
		main()
	case "owner":
		own(os.Args[1])
	}
	os.Exit(m.Run())
}

// own owns the file at path until standard input ends or a signal kills it.
func own(path string) {
	store, err := genie.NewStore(genie.WithPath(path))
	if err == nil {
		fmt.Println(store.Len())
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

// program returns this test binary as the program that run names.
func program(t *testing.T, run string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), "GENIE_TEST_RUN="+run)
	return c
}

// A result is what a run of the command leaves.
type result struct {
	code             int
	output, messages string
}

// genieCommand runs the command as a process.
func genieCommand(t *testing.T, args ...string) result {
	t.Helper()
	var output, messages bytes.Buffer
	c := program(t, "command", args...)
	c.Stdout, c.Stderr = &output, &messages
	err := c.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		require.NoError(t, err)
	}
	return result{c.ProcessState.ExitCode(), output.String(), messages.String()}
}

// backupFile returns the path of a backup with text in it.
func backupFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "b.json")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// folderOf describes every file beside path: name, time, contents.
func folderOf(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(path), e.Name()))
		found[e.Name()] = info.ModTime().String() + info.Mode().String() + string(text)
	}
	return found
}

func TestCommands(t *testing.T) {
	const whole = `{"a":"1","b":"2"}`
	folder := t.TempDir()
	tests := map[string]struct {
		text     string // of the backup file; none if empty
		args     []string
		code     int
		output   string // a regular expression
		messages string // a regular expression
	}{
		"cat":               {whole, []string{"cat", "FILE"}, 0, `^\{"(a":"1","b":"2|b":"2","a":"1)"\}\n$`, `^$`},
		"cat empty":         {"{}", []string{"cat", "FILE"}, 0, `^\{\}\n$`, `^$`},
		"cat damaged":       {"{\"a\":\"1\",\n\"b\":2}", []string{"cat", "FILE"}, 1, `^$`, `line 2, byte 14: the value of "b" is a number`},
		"cat missing":       {"", []string{"cat", "FILE"}, 3, `^$`, `file does not exist`},
		"cat a folder":      {"", []string{"cat", folder}, 3, `^$`, `not a regular file`},
		"verify":            {whole, []string{"verify", "FILE"}, 0, `b\.json: whole, 2 entries, in the backup file\n$`, `^$`},
		"verify one entry":  {`{"a":"1"}`, []string{"verify", "FILE"}, 0, `whole, 1 entry, in`, `^$`},
		"verify damaged":    {`{"a":"1"`, []string{"verify", "FILE"}, 1, `^$`, `corrupt backup: line 1, byte 8`},
		"verify missing":    {"", []string{"verify", "FILE"}, 3, `^$`, `file does not exist`},
		"help":              {"", []string{"help"}, 0, `usage:(?s:.)*exit codes:`, `^$`},
		"-h":                {"", []string{"-h"}, 0, `example:`, `^$`},
		"help of a command": {"", []string{"cat", "-h"}, 0, `exit codes:`, `^$`},
		"no command":        {"", nil, 2, `^$`, `usage:`},
		"no file":           {"", []string{"cat"}, 2, `^$`, `usage:`},
		"too many files":    {"", []string{"cat", "a", "b"}, 2, `^$`, `usage:`},
		"unknown command":   {"", []string{"dog", "FILE"}, 2, `^$`, `unknown command "dog"(?s:.)*usage:`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b.json")
			if tt.text != "" {
				path = backupFile(t, tt.text)
			}
			before := folderOf(t, path)
			args := append([]string{}, tt.args...)
			for i := range args {
				args[i] = strings.Replace(args[i], "FILE", path, 1)
			}
			got := genieCommand(t, args...)
			require.Equal(t, tt.code, got.code, got.messages)
			require.Regexp(t, tt.output, got.output)
			require.Regexp(t, tt.messages, got.messages)
			require.Equal(t, before, folderOf(t, path), "nothing has changed, and no file was made")
		})
	}
}

// While a program owns the file, and after a crash, the data is in the hand-over
// file; after a Close, in the backup file.
func TestBesideAProgram(t *testing.T) {
	path := backupFile(t, `{"a":"1"}`)
	start := func() (owner *exec.Cmd, input io.Closer) {
		owner = program(t, "owner", path)
		input, err := owner.StdinPipe()
		require.NoError(t, err)
		output, err := owner.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, owner.Start())
		t.Cleanup(func() { _ = owner.Process.Kill() })
		loaded := make([]byte, 2)
		_, err = io.ReadFull(output, loaded)
		require.NoError(t, err)
		require.Equal(t, "1\n", string(loaded))
		return owner, input
	}
	requireHandOver := func() {
		t.Helper()
		before := folderOf(t, path)
		require.Equal(t, result{0, "{\"a\":\"1\"}\n", ""}, genieCommand(t, "cat", path))
		got := genieCommand(t, "verify", path)
		require.Equal(t, 0, got.code)
		require.Contains(t, got.output, "whole, 1 entry, in the hand-over file "+path+".loaded")
		require.Equal(t, before, folderOf(t, path))
	}
	owner, _ := start()
	requireHandOver()
	require.NoError(t, owner.Process.Kill())
	_ = owner.Wait()
	requireHandOver()

	owner, input := start()
	require.NoError(t, input.Close())
	require.NoError(t, owner.Wait())
	require.Contains(t, genieCommand(t, "verify", path).output, "in the backup file")
}

// A program with a journal was killed, while it wrote a step.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.json")
	store, err := genie.NewStore(genie.WithPath(path), genie.WithJournal())
	require.NoError(t, err)
	for i := range 3 {
		store.Set("a", strconv.Itoa(i))
		require.NoError(t, store.Sync())
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	require.NoError(t, os.WriteFile(path, append(text, `{"step":3,"pre`...), 0o600))
	found := genieCommand(t, "verify", path)
	require.Zero(t, found.code)
	require.Contains(t, found.output, "whole, 1 entry, in the backup file, with 2 steps; a crash has cut off a step")
	require.Contains(t, found.output, "its 14 bytes")
	require.Equal(t, "{\"a\":\"2\"}\n", genieCommand(t, "cat", path).output)
	edited := strings.Replace(string(text), `{"a":"0"}`, `{"a":"9"}`, 1)
	require.NoError(t, os.WriteFile(path, []byte(edited), 0o600))
	require.Equal(t, 1, genieCommand(t, "verify", path).code)
}

func TestReaderThatHasHadEnough(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a closed pipe has another error there")
	}
	path := backupFile(t, largeBackup(t, 50_000))
	var messages bytes.Buffer
	c := program(t, "command", "cat", path)
	c.Stderr = &messages
	output, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = io.ReadFull(output, make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, output.Close())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		_ = c.Process.Kill()
		t.Fatal("the command goes on")
	}
	require.Error(t, err)
	require.Empty(t, messages.String())
}

func TestFullOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no full device here: ", err)
	}
	defer full.Close()
	path := backupFile(t, `{"a":"1"}`)
	for _, command := range []string{"cat", "verify"} {
		var messages bytes.Buffer
		require.Equal(t, exitOutput, run([]string{command, path}, full, &messages))
		require.Contains(t, messages.String(), "genie: write the output: ")
	}
}

func largeBackup(t *testing.T, n int) string {
	t.Helper()
	entries := map[string]string{}
	for i := range n {
		entries["key "+strconv.Itoa(i)] = strings.Repeat("v", 50)
	}
	text, err := json.Marshal(entries)
	require.NoError(t, err)
	return string(text)
}

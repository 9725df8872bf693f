package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A process is the program as a user runs it.
type process struct {
	*exec.Cmd
	base string
}

func startProcess(t *testing.T, program, backup string) process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-listen", "127.0.0.1:0", "-backup", backup, "-every", "20ms")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if found := regexp.MustCompile(`msg=listening url=(\S+)`).FindStringSubmatch(lines.Text()); found != nil {
			return process{cmd, found[1]}
		}
	}
	require.Fail(t, "it ended before it listened")
	return process{}
}

func TestCommandIsKilledAndStopped(t *testing.T) {
	program := filepath.Join(scratch, "sessions.exe") // the suffix is for Windows
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = environment // or else the go command would start with empty caches
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	backup := filepath.Join(t.TempDir(), "sessions.json")
	b := newBrowser(t)

	p := startProcess(t, program, backup)
	b.login(p.base, "ada")
	cookies := b.Jar.Cookies(b.at(p.base))
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(backup)
		return bytes.Contains(text, []byte("ada"))
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, p.Process.Kill())
	require.Error(t, p.Wait())

	p = startProcess(t, program, backup)
	b.Jar.SetCookies(b.at(p.base), cookies)
	require.Equal(t, "ada", b.me(p.base))
	if runtime.GOOS == "windows" { // where a process cannot be interrupted from outside
		require.NoError(t, p.Process.Kill())
		require.Error(t, p.Wait())
		return
	}
	b.logout(p.base)
	b.login(p.base, "bob")
	require.NoError(t, p.Process.Signal(os.Interrupt))
	require.NoError(t, p.Wait(), "exit code 0")
	text, err := os.ReadFile(backup)
	require.NoError(t, err)
	require.Contains(t, string(text), "bob")
	require.NotContains(t, string(text), "ada")
}

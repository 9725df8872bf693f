package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := newConsole(&out)
		c.terminal = true
		steps := 0
		stop := c.follow(func() string { steps++; return "step " + strconv.Itoa(steps) })
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		c.println("warning: full")
		stop()
		time.Sleep(time.Hour)
		require.Equal(t, 2, steps)
		require.Equal(t, "step 1\r      \rstep 2\r      \rwarning: full\n", out.String())
	})
}

func TestProgressInALogIsALineNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := newConsole(&out)
		stop := c.follow(func() string { return "reading" })
		time.Sleep(11 * time.Second)
		synctest.Wait()
		stop()
		require.Equal(t, "reading\nreading\n", out.String())
	})
}

func TestShortWorkShowsNoProgress(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			c := newConsole(&out)
			c.terminal = terminal
			c.follow(func() string { return "reading" })()
			require.Empty(t, out.String())
		})
	}
}

func TestFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer f.Close()
	require.False(t, newConsole(f).terminal)
	null, err := os.Open(os.DevNull) // a device, as a terminal is
	require.NoError(t, err)
	defer null.Close()
	require.True(t, newConsole(null).terminal)
}

// A slow terminal takes a minute of a bubble's time for a line.
type slow struct{ bytes.Buffer }

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(time.Minute)
	return s.Buffer.Write(p)
}

func TestFailedBackupsAreWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		require.NoError(t, os.Mkdir(dir, 0o700))
		store, err := genie.NewStore(genie.WithPath(filepath.Join(dir, "state.json")))
		require.NoError(t, err)
		require.NoError(t, os.RemoveAll(dir))

		var out slow
		stop := backUp(store, newConsole(&out))
		time.Sleep(2*backupInterval + backupInterval/2)
		stop()
		lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
		require.Len(t, lines, 2, "one for each interval")
		require.Regexp(t, "^warning: genie: back up .*state.json: ", string(lines[0]))
	})
}

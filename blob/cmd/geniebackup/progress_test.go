package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/blob"
)

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var messages bytes.Buffer
		p := newProgress(&messages)
		p.show(blob.Progress{Action: blob.Storing, Name: "a", Bytes: 1})
		time.Sleep(9 * time.Second)
		p.show(blob.Progress{Action: blob.Storing, Name: "a", Bytes: 9_000_000})
		require.Empty(t, messages.String(), "a short transfer prints nothing")
		time.Sleep(time.Second)
		p.show(blob.Progress{Action: blob.Storing, Name: "a", Bytes: 10_000_000})
		p.show(blob.Progress{Action: blob.Storing, Name: "a", Bytes: 10_000_001})
		p.show(blob.Progress{Action: blob.ReadingBack, Name: "a", Bytes: 1, Total: 10_000_000})
		time.Sleep(10 * time.Second)
		p.show(blob.Progress{Action: blob.ReadingBack, Name: "a", Bytes: 5_000_000, Total: 10_000_000})
		p.end()
		require.Equal(t, "storing: 10.0 MB, 1.0 MB/s\nreading back: 5.0 MB of 10.0 MB, 50 %, 500.0 kB/s\n", messages.String())

		messages.Reset()
		terminal := &progress{to: &messages, terminal: true, every: everyOnTerminal}
		terminal.show(blob.Progress{Action: blob.Restoring, Name: "a", Total: 2000})
		time.Sleep(time.Second)
		terminal.show(blob.Progress{Action: blob.Restoring, Name: "a", Bytes: 1000, Total: 2000})
		terminal.end()
		require.Equal(t, "\r\x1b[Krestoring: 1.0 kB of 2.0 kB, 50 %, 1.0 kB/s\r\x1b[K", messages.String(), "the line is gone at the end")

		messages.Reset()
		quiet := newProgress(&messages)
		quiet.quiet = true
		quiet.show(blob.Progress{Name: "a"})
		time.Sleep(time.Minute)
		quiet.show(blob.Progress{Name: "a"})
		require.Empty(t, messages.String())
	})
}

func TestSizes(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_234_567: "1.2 MB", 5e12: "5.0 TB", 1 << 62: "4.6 EB"} {
		require.Equal(t, want, size(bytes))
	}
}

// On a terminal no result stands behind the line of a progress.
func TestResultsOnATerminal(t *testing.T) {
	folder, _ := bucketWith(t, `{"a":"1"}`)
	restored := filepath.Join(t.TempDir(), "restored.json")
	for _, tt := range []struct {
		args    []string
		results []string // what each line begins with
	}{
		{[]string{"copy", "-keep-last", "9", fileWith(t, `{"a":"2"}`), folder}, []string{"copied 1 entry", "removed 0"}},
		{[]string{"verify", folder}, []string{"whole: ", "whole: "}},
		{[]string{"restore", folder, restored}, []string{"restored 1 entry"}},
	} {
		var screen bytes.Buffer
		c := newCommand(&screen, &screen)
		c.progress.terminal, c.progress.every = true, 0
		do, err := c.parse(tt.args)
		require.NoError(t, err)
		require.NoError(t, do(t.Context(), c))
		require.Contains(t, screen.String(), "%", "there was a progress")
		lines := strings.Split(strings.TrimSuffix(screen.String(), "\n"), "\n")
		require.Len(t, lines, len(tt.results))
		for i, line := range lines {
			pieces := strings.Split(line, "\x1b[K") // each but the last has been taken off
			require.True(t, strings.HasPrefix(pieces[len(pieces)-1], tt.results[i]), "%q", line)
		}
	}
}

//go:build !race

// The race detector takes memory of its own.

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// fileOf returns the path of a file with entries of 150 bytes, and its size.
func fileOf(t *testing.T, entries int) (path string, bytes int64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app.json")
	file, err := os.Create(path)
	require.NoError(t, err)
	w := bufio.NewWriter(file)
	fmt.Fprintf(w, `{"first":""`)
	for i := range entries {
		fmt.Fprintf(w, ",\n\"key-%012d\":\"%0127d\"", i, i)
	}
	fmt.Fprintln(w, "}")
	require.NoError(t, w.Flush())
	info, err := file.Stat()
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return path, info.Size()
}

// init has the test binary run the command and print the most memory that it had, if the environment
// asks for it. The usage that a parent sees of its child is no less than the parent's own was.
func init() {
	if os.Getenv("GENIE_TEST_PEAK") == "" {
		return
	}
	code := run(context.Background(), os.Args[1:], io.Discard, os.Stderr)
	status, _ := os.ReadFile("/proc/self/status")
	fmt.Printf("%s", regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)[1])
	os.Exit(code)
}

// peakOfProcess runs the command in a process of its own and returns the most memory that it had.
func peakOfProcess(t *testing.T, args ...string) int64 {
	t.Helper()
	child := asMain(t, args...)
	child.Env = append(child.Env, "GENIE_TEST_PEAK=1")
	child.Stderr = os.Stderr
	kilo, err := child.Output()
	require.NoError(t, err)
	peak, err := strconv.ParseInt(string(kilo), 10, 64)
	require.NoError(t, err)
	return peak * 1024
}

// The memory of each command is what README and the help say.
func TestMemoryOfTheCommand(t *testing.T) {
	const begin = 60_000_000 // of a process with all drivers
	file, size := fileOf(t, 500_000)
	bucket, restored := t.TempDir(), filepath.Join(t.TempDir(), "restored.json")
	for _, tt := range []struct {
		args  []string
		times float64 // the size of the file, at most
	}{
		{[]string{"copy", file, bucket}, 2.5},
		{[]string{"list", bucket}, 0},
		{[]string{"verify", bucket}, 0},
		{[]string{"restore", bucket, restored}, 4.5},
		{[]string{"restore", "-replace", bucket, restored}, 6.5},
	} {
		peak := peakOfProcess(t, tt.args...)
		t.Logf("%s: %d MB, for a file of %d MB", tt.args[:2], peak/1e6, size/1e6)
		require.Less(t, peak, begin+int64(tt.times*float64(size)), tt.args[0])
		if tt.times > 0 {
			require.Greater(t, peak, size, "the detector: the entries are seen")
		}
	}
}

package blob_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/fileblob"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/blob"
)

// copyForEver copies a store into a folder again and again, and prints the value that the last
// copy has. It goes on from the newest copy. The test kills it.
func copyForEver(path string) {
	err := func() error {
		bucket, err := fileblob.OpenBucket(path, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
		if err != nil {
			return err
		}
		copies, err := blob.New(bucket, "app", blob.WithKeep(3, 1))
		if err != nil {
			return err
		}
		store, err := genie.NewStore(genie.WithoutFile())
		if err != nil {
			return err
		}
		_, err = copies.Restore(context.Background(), store)
		if errors.Is(err, blob.ErrNoCopy) {
			store.Set("bulk", strings.Repeat("b", 1<<20)) // the first start
		} else if err != nil {
			return err
		}
		for {
			n, err := store.Increment("value", 1)
			if err != nil {
				return err
			}
			if _, err := copies.Copy(context.Background(), store); err != nil {
				return err
			}
			fmt.Println(n)
		}
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A process that is killed at any moment of its copies leaves whole copies only, and loses none that
// it has reported.
func TestKilledInTheMiddleOfACopy(t *testing.T) {
	const rounds = 15
	path := t.TempDir()
	copies, err := blob.New(folder(t, path), "app", blob.WithKeep(3, 1))
	require.NoError(t, err)
	reported, leftovers := int64(0), 0
	for range rounds {
		reported = max(reported, killedAfter(t, path, time.Duration(rand.Int64N(int64(60*time.Millisecond)))))
		store, err := genie.NewStore(genie.WithoutFile())
		require.NoError(t, err)
		restored, err := copies.Restore(t.Context(), store)
		require.NoError(t, err)
		require.Empty(t, restored.PassedOver)
		value, _ := store.Increment("value", 0)
		require.Contains(t, []int64{reported, reported + 1}, value)
		reported = value
		all, err := copies.List(t.Context())
		require.NoError(t, err)
		for _, c := range all {
			require.NoError(t, copies.Verify(t.Context(), c))
		}
		leftovers += files(t, path) - 2*len(all)
	}
	require.Positive(t, leftovers, "no process was killed in the middle of a copy: the test tests nothing")

	// A day later the next copy removes what is left of the copies that were not finished.
	makeOlder(t, filepath.Join(path, "app"), 25*time.Hour)
	store, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	for range 2 { // the first gives the listing of the second an object of today
		_, err = copies.Copy(t.Context(), store)
		require.NoError(t, err)
	}
	require.Equal(t, 2*3, files(t, path))
}

// killedAfter starts a program that makes copies, kills it a moment after its first copy, and returns
// the last value that it has reported.
func killedAfter(t *testing.T, path string, moment time.Duration) (reported int64) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	program := exec.Command(self)
	program.Env = append(os.Environ(), "GENIE_TEST_COPY_TO="+path)
	program.Stderr = os.Stderr
	output, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	lines := bufio.NewScanner(output)
	require.True(t, lines.Scan())
	time.AfterFunc(moment, func() { _ = program.Process.Kill() })
	for more := true; more; more = lines.Scan() {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		require.NoError(t, err)
		reported = max(reported, n)
	}
	require.Error(t, program.Wait())
	return reported
}

// makeOlder sets back the times of the files in a folder, and those in their names.
func makeOlder(t *testing.T, folder string, by time.Duration) {
	t.Helper()
	const layout = "20060102T150405.000000000Z"
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	old := time.Now().Add(-by)
	for _, entry := range entries {
		begun, err := time.Parse(layout, entry.Name()[:len(layout)])
		require.NoError(t, err)
		path := filepath.Join(folder, begun.Add(-by).Format(layout)+entry.Name()[len(layout):])
		require.NoError(t, os.Rename(filepath.Join(folder, entry.Name()), path))
		require.NoError(t, os.Chtimes(path, old, old))
	}
}

// files returns how many files the prefix has.
func files(t *testing.T, path string) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(path, "app"))
	require.NoError(t, err)
	return len(entries)
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func sum(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

func TestWalkRecordsEveryRegularFile(t *testing.T) {
	large := strings.Repeat("large ", 1<<18)
	contents := map[string]string{"empty": "", "text": "hello", "deep/er/large": large, ".hidden/x": "h"}
	tr := newTree(t, contents)
	want, bytes := map[string]string{}, 0
	for name, text := range contents {
		bytes += len(text)
		want[filePrefix+name], want[unreportedPrefix+name] = sum(text), ""
	}
	l := emptyLedger(t, t.TempDir())
	w := newWalk(tr.folder, backupFiles{}, l)
	require.NoError(t, w.run(t.Context()))
	require.Equal(t, want, l.store.Snapshot())
	require.Empty(t, w.unreadable)
	require.Equal(t, "reading: 4 files, "+size(int64(bytes)), w.progress())
}

func TestLinksAreNotFollowed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links take a privilege")
	}
	outside := newTree(t, map[string]string{"secret": "s"})
	tr := newTree(t, map[string]string{"a": "1", "dir/b": "1"})
	for name, target := range map[string]string{
		"to-file": outside.path("secret"), "to-folder": outside.folder, "loop": tr.folder, "dangling": "nowhere",
	} {
		require.NoError(t, os.Symlink(target, tr.path(name)))
	}
	requireNews(t, runHere(t.Context(), tr.folder), []string{"a", "dir/b"}, nil, nil)

	tr.remove("a")
	require.NoError(t, os.Symlink("dir/b", tr.path("a")))
	requireNews(t, runHere(t.Context(), tr.folder), nil, nil, []string{"a"})
}

func TestNamesNeedNotBeText(t *testing.T) {
	const stray = "stray-\xff"
	tr := newTree(t, nil)
	if err := os.WriteFile(tr.path(stray), nil, 0o644); err != nil || runtime.GOOS == "windows" {
		t.Skip("this file system has only text for names")
	}
	requireNews(t, runHere(t.Context(), tr.folder), []string{`"stray-\xff"`}, nil, nil)
	requireNews(t, runHere(t.Context(), tr.folder), nil, nil, nil)
	tr.remove(stray)
	requireNews(t, runHere(t.Context(), tr.folder), nil, nil, []string{`"stray-\xff"`})
}

func TestMeterStopsInTheMiddleOfAFile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var total atomic.Int64
	m := &meter{ctx, strings.NewReader("0123456789"), &total}
	_, err := io.CopyN(io.Discard, m, 4)
	require.NoError(t, err)
	cancel()
	_, err = io.Copy(io.Discard, m)
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 4, total.Load())
}

func TestWhatMayExist(t *testing.T) {
	w := newWalk("", backupFiles{}, ledger{})
	w.listed["seen"] = true
	w.skip("locked", &fs.PathError{Op: "open", Path: "locked", Err: syscall.EIO})
	w.skip("vanished", &fs.PathError{Op: "open", Path: "vanished", Err: syscall.ENOENT})
	for name, may := range map[string]bool{
		"seen": true, "locked": true, "locked/below": true, "locked/far/below": true,
		"vanished": false, "vanished/below": false, "lock": false, "seen/below": false, "other": false,
	} {
		require.Equal(t, may, w.mayExist(name), name)
	}
	require.Equal(t, map[string]error{"locked": syscall.EIO}, w.unreadable)
}

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// The names of copies in a bucket that a test plays, oldest first.
const (
	olderName = "20261127T041409.123456789Z-8f3a2b1c9d0e4f56.json"
	newerName = "20261128T041409.123456789Z-8f3a2b1c9d0e4f56.json"
)

// playS3 plays a bucket of S3 that lists copies with one text, has no seal when it is asked for one, and
// answers as get to who reads a copy. It returns the URL of the bucket.
func playS3(t *testing.T, text string, get http.HandlerFunc, names ...string) (where string) {
	t.Helper()
	var objects strings.Builder
	for _, name := range names {
		seal := fmt.Sprintf("%s.%d.%x.sealed", name, len(text), sha256.Sum256([]byte(text)))
		for key, size := range map[string]int{name: len(text), seal: 0} {
			fmt.Fprintf(&objects, `<Contents><Key>%s</Key><Size>%d</Size><LastModified>2026-11-28T04:14:09Z</LastModified></Contents>`, key, size)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("list-type"):
			fmt.Fprintf(w, `<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>%s</ListBucketResult>`, objects.String())
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		default:
			get(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return s3At(t, strings.TrimPrefix(server.URL, "http://"))
}

// refuse returns an answer of S3 that is an error.
func refuse(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
	}
}

// Where all copies are gone before they are read, as with the bucket itself, nothing was verified.
func TestVerifyOfCopiesThatAreGone(t *testing.T) {
	where := playS3(t, `{"a":"1"}`, refuse(http.StatusNotFound, "NoSuchBucket"), olderName, newerName)
	for _, args := range [][]string{{"verify", where}, {"verify", "-copy", olderName, where}, {"verify", "-copy", "newest", where}} {
		got := geniebackup(t, args...)
		require.Equal(t, exitFailed, got.code, args)
		require.Contains(t, got.messages, "nothing was verified")
		require.Contains(t, got.output, "removed meanwhile: ")
	}
}

// A copy that cannot be read does not hide the damage of another one.
func TestVerifyIsCutShort(t *testing.T) {
	where := playS3(t, `{"a":"1"}`, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, newerName) {
			refuse(http.StatusForbidden, "AccessDenied")(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"a":"2"}`))
	}, olderName, newerName)
	got := geniebackup(t, "verify", where)
	require.Equal(t, exitSomeDamaged, got.code)
	require.Contains(t, got.output, "damaged copy: "+olderName)
	require.Regexp(t, "^geniebackup: 1 copy is damaged, and the others could not be read: .*AccessDenied", got.messages)
	require.Equal(t, exitDenied, geniebackup(t, "verify", "-copy", newerName, where).code)
}

// The program of a file starts, writes and ends while a copy is on its way. Its entries stay.
func TestRestoreLooksAgain(t *testing.T) {
	file, text := filepath.Join(t.TempDir(), "app.json"), `{"a":"of the bucket"}`
	where := playS3(t, text, func(w http.ResponseWriter, _ *http.Request) {
		store, err := genie.NewStore(genie.WithPath(file))
		if err != nil {
			t.Error(err)
			return
		}
		store.Set("a", "of the program")
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte(text))
	}, newerName)
	got := geniebackup(t, "restore", where, file)
	require.Equal(t, exitFailed, got.code, got.messages)
	require.Contains(t, got.messages, "has 1 entry; -replace replaces them")
	require.JSONEq(t, `{"a":"of the program"}`, contentsOf(t, file))
	require.Equal(t, exitDone, geniebackup(t, "restore", "-replace", where, file).code)
	require.JSONEq(t, text, contentsOf(t, file))
}

// The client of S3 has no warning about sums that it does not know: the command compares its own.
func TestTheClientIsQuiet(t *testing.T) {
	text := `{"a":"1"}`
	where := playS3(t, text, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-amz-checksum-crc32", "AAAAAA==-2") // of an object of two parts
		_, _ = w.Write([]byte(text))
	}, newerName)
	child := asMain(t, "restore", where, filepath.Join(t.TempDir(), "app.json"))
	var messages bytes.Buffer
	child.Stderr = &messages
	require.NoError(t, child.Run())
	require.Empty(t, messages.String())
}

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/blob"
)

// A pattern is a source of a copy, and the contents of its object: a backup with entries of a
// kilobyte, as many as make the bytes that the pattern says, and some bytes more.
type pattern int64

const (
	patternBegin = "{"
	patternEnd   = `"":""}`
)

var patternEntry = `"":"` + strings.Repeat("0", 1<<10-6) + `",`

func (p pattern) WriteTo(w io.Writer) (total int64, err error) {
	write := func(text string) {
		if err == nil {
			var n int
			n, err = io.WriteString(w, text)
			total += int64(n)
		}
	}
	write(patternBegin)
	for chunk := strings.Repeat(patternEntry, 64); total < int64(p); {
		write(chunk)
		if err != nil {
			break
		}
	}
	write(patternEnd)
	return total, err
}

// size returns how many bytes WriteTo writes for a pattern of whole megabytes.
func (p pattern) size() int64 { return int64(p) + int64(len(patternBegin)+len(patternEnd)) }

// ServeHTTP answers as S3 does to the requests of a copy, and forgets what it was sent.
func (p pattern) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	query := r.URL.Query()
	switch {
	case query.Has("list-type"):
		fmt.Fprint(w, `<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>`)
	case r.Method == http.MethodPost && query.Has("uploads"):
		fmt.Fprint(w, `<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>key</Key><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
	case r.Method == http.MethodPost:
		fmt.Fprint(w, `<CompleteMultipartUploadResult><Bucket>bucket</Bucket><Key>key</Key><ETag>"1"</ETag></CompleteMultipartUploadResult>`)
	case r.Method == http.MethodPut:
		w.Header().Set("ETag", `"1"`)
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Length", fmt.Sprint(p.size()))
		_, _ = p.WriteTo(w)
	}
}

// peakOf returns the most bytes that the heap had beyond its size before, while fn ran. Collections
// are frequent meanwhile, so that little of it is garbage.
func peakOf(fn func()) (peak int64) {
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	debug.FreeOSMemory()
	before, done, ended := heap(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
			peak = max(peak, heap()-before)
			select {
			case <-done:
				tick.Stop()
				return
			default:
			}
		}
	}()
	fn()
	close(done)
	<-ended
	return peak
}

func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// The memory of a copy to S3 does not grow with the store, but with the size of a part. The client
// keeps three parts, and begins with 16 MiB that it grows step by step.
func TestTheMemoryOfACopyToS3(t *testing.T) {
	const mb = 1 << 20
	peaks := map[string]int64{}
	for name, tt := range map[string]struct {
		source pattern
		part   int
	}{
		"40 MB":                      {40 * mb, 8 * mb},
		"320 MB":                     {320 * mb, 8 * mb},
		"320 MB in parts of 32 MB":   {320 * mb, 32 * mb},
		"4 MB, which is no part yet": {4 * mb, 8 * mb},
	} {
		server := httptest.NewServer(tt.source)
		t.Cleanup(server.Close)
		c := newCommand(io.Discard, io.Discard)
		err := c.withCopies(t.Context(), s3At(t, strings.TrimPrefix(server.URL, "http://")), func(copies *blob.Copies) error {
			var err error
			peaks[name] = peakOf(func() { _, err = copies.Copy(t.Context(), tt.source) })
			return err
		}, blob.WithPartSize(tt.part))
		require.NoError(t, err)
		t.Logf("%s: %.1f MB", name, float64(peaks[name])/1e6)
	}
	const begin = 40 * mb // 16 MiB, and the garbage of growing to them
	require.Less(t, peaks["40 MB"], int64(3*8*mb+begin))
	require.Less(t, peaks["320 MB"], int64(3*8*mb+begin), "the memory does not grow with the store")
	require.Greater(t, peaks["320 MB in parts of 32 MB"], int64(3*32*mb), "the detector: larger parts are seen")
}

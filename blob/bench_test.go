package blob_test

import (
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/blob"
)

// BenchmarkCopy measures a copy into a folder: stored, read back, and sealed. It is on the disk when
// the copy ends, as a backup is.
func BenchmarkCopy(b *testing.B) {
	store := filled(b, 100_000)
	copies, err := blob.New(folder(b, b.TempDir()), "app", blob.WithKeep(1, 0))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		made, err := copies.Copy(b.Context(), store)
		require.NoError(b, err)
		b.SetBytes(made.Bytes)
	}
}

// BenchmarkRestore measures a restore from a folder.
func BenchmarkRestore(b *testing.B) {
	store := filled(b, 100_000)
	copies, err := blob.New(folder(b, b.TempDir()), "app")
	require.NoError(b, err)
	made, err := copies.Copy(b.Context(), store)
	require.NoError(b, err)
	b.SetBytes(made.Bytes)
	for b.Loop() {
		_, err := copies.Restore(b.Context(), store)
		require.NoError(b, err)
	}
}

// BenchmarkList measures a listing of a folder, and reports the time for each copy.
func BenchmarkList(b *testing.B) {
	for _, many := range []int{54, 1000, 10_000} {
		b.Run(strconv.Itoa(many), func(b *testing.B) {
			path := b.TempDir()
			copies, err := blob.New(folder(b, path), "")
			require.NoError(b, err)
			plantCopies(b, path, many)
			b.ReportAllocs()
			for b.Loop() {
				found, err := copies.List(b.Context())
				require.NoError(b, err)
				require.Len(b, found, many)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(many), "µs/copy")
		})
	}
}

// BenchmarkGetsBeside measures how long a Get takes while nothing else happens, while the store
// writes a backup, and while it is copied into a folder. The three take turns, so that whatever else
// the machine does meets them alike. The store has half a million entries. Each of 4 goroutines
// makes a Get every millisecond.
func BenchmarkGetsBeside(b *testing.B) {
	path := filepath.Join(b.TempDir(), "app.json")
	store, err := genie.NewStore(genie.WithPath(path))
	require.NoError(b, err)
	for i := range 500_000 {
		store.Set(strconv.Itoa(i), "a value of the length that values may have, which is about a hundred bytes in many programs")
	}
	copies, err := blob.New(folder(b, b.TempDir()), "app", blob.WithKeep(1, 0))
	require.NoError(b, err)
	work := map[string]func() error{
		"nothing": func() error { time.Sleep(200 * time.Millisecond); return nil },
		"discard": func() error { _, err := store.WriteTo(io.Discard); return err },
		"backup":  store.Backup,
		"copy":    func() error { _, err := copies.Copy(b.Context(), store); return err },
	}
	took := map[string][]time.Duration{}
	for b.Loop() {
		for name, do := range work {
			runtime.GC() // the garbage of one must not be collected at the expense of another
			took[name] = append(took[name], getsBeside(b, store, do)...)
		}
	}
	for name, all := range took {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)*999/1000])/1e3, name+"-p99.9-µs")
		b.ReportMetric(float64(all[len(all)-1])/1e3, name+"-max-µs")
	}
	require.NoError(b, store.Close())
}

// getsBeside returns how long the Gets took that were made beside some work.
func getsBeside(b *testing.B, store *genie.Store, work func() error) (took []time.Duration) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex // protects took
	for range 4 {
		wg.Go(func() {
			own := getUntil(store, done)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
		})
	}
	err := work()
	close(done)
	wg.Wait()
	require.NoError(b, err)
	return took
}

// getUntil makes a Get each millisecond until done is closed.
func getUntil(store *genie.Store, done <-chan struct{}) (took []time.Duration) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			began := time.Now()
			store.Get("77")
			took = append(took, time.Since(began))
		case <-done:
			return took
		}
	}
}

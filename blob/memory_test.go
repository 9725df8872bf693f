package blob_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/blob"
)

// filled returns a store with values of 1000 bytes.
func filled(t testing.TB, entries int) *genie.Store {
	t.Helper()
	store, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	value := strings.Repeat("v", 1000)
	for i := range entries {
		store.Set(fmt.Sprint("key ", i), value)
	}
	return store
}

// allocated returns the bytes that fn allocates, which is more than it has at any moment.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// The package documentation says that the memory of a copy, and of a look at one, does not grow with
// the store.
func TestTheMemoryOfACopyDoesNotGrow(t *testing.T) {
	const limit = 1 << 20
	for _, entries := range []int{1, 50_000} {
		copies, err := blob.New(folder(t, t.TempDir()), "app")
		require.NoError(t, err)
		store := filled(t, entries)
		var made blob.Copy
		require.Less(t, allocated(func() { made, err = copies.Copy(t.Context(), store) }), uint64(limit), entries)
		require.NoError(t, err)
		require.Less(t, allocated(func() { err = copies.Verify(t.Context(), made) }), uint64(limit), entries)
		require.NoError(t, err)
		if entries > 1 {
			require.Greater(t, made.Bytes, int64(40*limit))
		}
	}
}

// The detector of the test above: a program that holds a backup in memory.
func TestABackupInMemoryIsSeen(t *testing.T) {
	store, text := filled(t, 50_000), strings.Builder{}
	require.Greater(t, allocated(func() { _, _ = store.WriteTo(&text) }), uint64(40<<20))
}

// plantCopies puts copies into a folder, quicker than by copying.
func plantCopies(t testing.TB, path string, copies int) {
	t.Helper()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range copies {
		name := filepath.Join(path, begin.Add(time.Duration(i)).Format("20060102T150405.000000000Z")+"-0123456789abcdef.json")
		require.NoError(t, os.WriteFile(name, []byte("{}"), 0o600))
		require.NoError(t, os.WriteFile(name+fmt.Sprintf(".2.%x.sealed", sha256.Sum256([]byte("{}"))), nil, 0o600))
	}
}

// For each page that it lists, the driver of a folder reads all of the folder. The pages grow, so that
// the work for one copy does not grow with the number of copies.
func TestTheWorkOfAListingIsThatOfItsCopies(t *testing.T) {
	path := t.TempDir()
	copies, err := blob.New(folder(t, path), "")
	require.NoError(t, err)
	const many = 3000
	plantCopies(t, path, many)
	var found []blob.Copy
	bytes := allocated(func() { found, err = copies.List(t.Context()) })
	require.NoError(t, err)
	require.Len(t, found, many)
	require.Less(t, bytes/many, uint64(12_000))
	t.Logf("%d bytes for each copy were allocated", bytes/many)
}

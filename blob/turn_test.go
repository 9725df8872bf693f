package blob

import (
	"bytes"
	"crypto/sha256"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// turnsOfOthers counts how often another goroutine runs meanwhile, on one processor.
func turnsOfOthers(fn func()) (turns int) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var over atomic.Bool
	var other sync.WaitGroup
	other.Go(func() {
		for ; !over.Load(); turns++ {
			runtime.Gosched()
		}
	})
	fn()
	over.Store(true)
	other.Wait()
	return turns
}

func TestReadingGivesWay(t *testing.T) {
	text := make([]byte, 64<<20)
	c := Copy{Bytes: int64(len(text)), SHA256: sha256.Sum256(text)}
	checked := newCheckedReader(t.Context(), bytes.NewReader(text), c, func(int64) {})
	require.Greater(t, turnsOfOthers(func() { require.NoError(t, readAll(checked)) }), 200)
	// The detector: a reader that sums up without giving way.
	require.Less(t, turnsOfOthers(func() {
		_, err := io.Copy(sha256.New(), bytes.NewReader(text))
		require.NoError(t, err)
	}), 200)
}

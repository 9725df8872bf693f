//go:build unix

package crash_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// readers are goroutines of the test that read a backup again and again while
// another process owns the file.
type readers struct {
	t       *testing.T
	path    string
	stop    chan struct{}
	stopped sync.Once
	running sync.WaitGroup

	mu   sync.Mutex // guards seen and err
	seen []sighting
	err  error
}

func startReaders(t *testing.T, path string, n int) *readers {
	r := &readers{t: t, path: path, stop: make(chan struct{})}
	for range n {
		r.running.Go(r.read)
	}
	t.Cleanup(r.halt)
	return r
}

func (r *readers) read() {
	for {
		select {
		case <-r.stop:
			return
		default:
		}
		s, err := look(r.path)
		r.mu.Lock()
		if err == nil {
			r.seen = append(r.seen, s)
		} else if r.err == nil {
			r.err = err
		}
		r.mu.Unlock()
	}
}

func (r *readers) halt() {
	r.stopped.Do(func() { close(r.stop) })
	r.running.Wait()
}

// end stops the readers, requires that every read was of a whole backup, and
// returns the backups.
func (r *readers) end() []sighting {
	r.t.Helper()
	r.halt()
	require.NoError(r.t, r.err)
	require.NotEmpty(r.t, r.seen)
	return r.seen
}

// A service writes a backup ten times a second while several processes read. Every
// read gets one whole backup, no older than an earlier read.
func TestReadersBesideALiveOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 1)
	owner := spawn(t, "serve", path, "0s", "100ms")
	owner.expectLoad(1, 1)
	const processes = 4
	reads := sample(100, 1000)
	var children [processes]*child
	for i := range children {
		children[i] = spawn(t, "read", path, fmt.Sprint(reads/processes))
		children[i].expect("READY")
	}
	for _, c := range children {
		c.letGo()
	}
	var seen []sighting
	for _, c := range children {
		lines := c.end()
		found := sightings("READ", lines)
		require.Len(t, found, len(lines), lines)
		seen = append(seen, found...)
	}
	require.Len(t, seen, reads)
	require.NoError(t, ordered(seen))
	different := map[int]bool{}
	for _, s := range seen {
		require.NotZero(t, s.generation)
		different[s.generation] = true
	}
	lines := owner.terminate()
	require.Len(t, lines, 1)
	require.Contains(t, lines[0], "CLOSED")
	t.Logf("%d reads of %d backups", len(seen), len(different))
}

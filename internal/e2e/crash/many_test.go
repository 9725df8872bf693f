//go:build unix

package crash_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A crowd is the processes that want one path. One process owns the path while
// three wait.
type crowd struct {
	t       *testing.T
	path    string
	members [4]*child
	seen    []sighting
	writers map[int]int // generation to the process that has acknowledged it
}

// replace kills a member in the middle of its work, and starts another.
func (c *crowd) replace(at int) {
	c.kill(at)
	c.members[at] = spawn(c.t, "write", c.path, patience)
}

func (c *crowd) kill(at int) {
	member := c.members[at]
	if member == nil {
		return
	}
	c.members[at] = nil
	lines := member.kill()
	c.seen = append(c.seen, sightings("LOADED", lines)...)
	for _, ack := range sightings("ACK", lines) {
		c.seen = append(c.seen, ack)
		other, twice := c.writers[ack.generation]
		require.False(c.t, twice, "processes %d and %d have both written %v", other, member.pid(), ack)
		c.writers[ack.generation] = member.pid()
	}
	for _, line := range lines {
		require.NotContains(c.t, line, "FAILED")
		require.NotContains(c.t, line, "IN USE")
	}
}

// Several processes want one path, and are killed at random. One process owns the
// path at a time, and has loaded the last backup of its predecessor. The files at
// the path are whole at any time.
func TestManyProcessesOnOnePath(t *testing.T) {
	c := &crowd{t: t, path: filepath.Join(t.TempDir(), "b"), writers: map[int]int{}}
	kills, read := 0, 0
	for range sample(1, 12) {
		for at := range c.members {
			c.replace(at)
		}
		// On a slow machine members are killed before their first backup: they get
		// more and more time, until a backup is acknowledged.
		pause := 5 * backupTime
		for round := 0; round < 20 || len(c.writers) == 0 && round < 200; round++ {
			if len(c.writers) == 0 {
				pause += backupTime
			}
			spin(pause)
			read += requireWhole(t, c.path)
			c.replace(rand.N(len(c.members)))
			kills++
		}
		for at := range c.members {
			c.kill(at)
			kills++
		}
		last := spawn(t, "hold", c.path)
		last.expect("READY")
		c.seen = append(c.seen, sightings("LOADED", []string{last.next()})...)
		last.kill()
		require.NoError(t, ordered(c.seen))
	}
	require.NotEmpty(t, c.writers)
	t.Logf("%d kills, %d backups acknowledged, %d files read whole", kills, len(c.writers), read)
}

// requireWhole requires that the files at path and beside it are empty or whole,
// and returns the number of files with contents.
func requireWhole(t *testing.T, path string) (read int) {
	t.Helper()
	for _, suffix := range []string{"", ".loaded", ".prev"} {
		data, err := os.ReadFile(path + suffix)
		if errors.Is(err, fs.ErrNotExist) || len(data) == 0 {
			continue
		}
		require.NoError(t, err)
		var entries map[string]string
		require.NoError(t, json.Unmarshal(data, &entries), suffix)
		_, err = whole(entries)
		require.NoError(t, err, suffix)
		read++
	}
	return read
}

// Five short programs add an entry each, at once. A program that cannot wait long
// enough gets ErrInUse and adds nothing.
func TestFiveProgramsAddAtOnce(t *testing.T) {
	added, refused := 0, 0
	for trial := range sample(4, 100) {
		path := filepath.Join(t.TempDir(), "b")
		store := newStore(t, path)
		store.Set("old", "added")
		require.NoError(t, store.Close())
		want := map[string]string{"old": "added"}

		var children [5]*child
		for i := range children {
			wait := patience
			if trial%2 == 1 && i > 2 {
				wait = "0s"
			}
			children[i] = spawn(t, "add", path, wait, fmt.Sprint("entry ", i))
			children[i].expect("READY")
		}
		for _, c := range children {
			c.letGo()
		}
		for i, c := range children {
			lines := c.end()
			require.Len(t, lines, 1)
			if lines[0] == "ADDED" {
				want[fmt.Sprint("entry ", i)] = "added"
				added++
				continue
			}
			require.Contains(t, lines[0], "IN USE")
			require.True(t, trial%2 == 1 && i > 2, "program %d was to wait: %s", i, lines[0])
			refused++
		}
		store = newStore(t, path)
		require.Equal(t, want, store.Snapshot())
		require.NoError(t, store.Close())
	}
	t.Logf("%d entries added, %d programs refused", added, refused)
}

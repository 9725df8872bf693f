//go:build unix

package crash_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// A crowd is the processes that use one path, and what they have said.
type crowd struct {
	t       *testing.T
	path    string
	members [4]*child
	acks    map[backupID]interval
}

type backupID struct{ writer, generation int }

// An interval is from the call of Backup to its return.
type interval struct{ began, ended int }

// turn has one of the crowd start, if it has been killed, and write or not; and
// perhaps kills it, in the middle of whatever it does.
func (c *crowd) turn(kill bool) {
	at := rand.N(len(c.members))
	if c.members[at] == nil {
		c.members[at] = spawn(c.t, "write", c.path)
		c.members[at].expect("READY")
		c.members[at].expect("LOADED")
	}
	member := c.members[at]
	for range rand.N(4) {
		c.note(member, member.next())
	}
	if kill {
		spin(backupTime)
		c.kill(at)
	}
}

func (c *crowd) kill(at int) {
	member := c.members[at]
	if member == nil {
		return
	}
	for _, line := range member.kill() {
		c.note(member, line)
	}
	c.members[at] = nil
}

func (c *crowd) note(member *child, line string) {
	c.t.Helper()
	n, ok := numbersAfter("ACK", line)
	require.True(c.t, ok, line)
	c.acks[backupID{member.cmd.Process.Pid, n[0]}] = interval{n[1], n[2]}
}

// Several processes load, back up and are killed on one path. Whatever is there
// meanwhile is whole, and in the end no backup is there that another, begun
// after it was acknowledged, should have replaced.
func TestManyProcessesOnOnePath(t *testing.T) {
	c := &crowd{t: t, path: filepath.Join(t.TempDir(), "b"), acks: map[backupID]interval{}}
	turns, read := 0, 0
	for range kills(2, 15) {
		for range 20 {
			c.turn(turns%2 == 0)
			turns++
			read += requireWhole(t, c.path)
		}
		for at := range c.members {
			c.kill(at)
		}
		c.requireNewest()
	}
	t.Logf("%d turns, %d backups acknowledged, %d files read whole", turns, len(c.acks), read)
}

// requireNewest requires that what a process loads now is not outdated.
func (c *crowd) requireNewest() {
	c.t.Helper()
	store, err := genie.NewStore(genie.WithPath(c.path))
	require.NoError(c.t, err)
	names, err := temps(c.path)
	require.NoError(c.t, err)
	require.Empty(c.t, names)
	writer, _ := store.Get(writerKey)
	pid, err := strconv.Atoi(writer)
	require.NoError(c.t, err)
	there, ok := c.acks[backupID{pid, generation(store)}]
	if !ok {
		// Its writer was killed before it could say so.
		require.NotContains(c.t, c.acks, backupID{pid, generation(store) + 1})
	}
	for id, other := range maps.All(c.acks) {
		require.False(c.t, ok && other.began > there.ended, "%v was acknowledged, after %v", id, there)
	}
	require.NoError(c.t, store.Backup(), "and gives up what it has loaded")
}

// requireWhole requires that the files at path, and those beside it, are empty or
// whole, and returns how many were there.
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
		require.Len(t, entries, fillerKeys+2)
		read++
	}
	return read
}

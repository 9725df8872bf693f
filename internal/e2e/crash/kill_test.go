//go:build unix

package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// backupTime is about the time of one backup of a child.
const backupTime = 3 * time.Millisecond

// Each process goes on from the backup of the process before it.
func TestKilledWritersLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	acknowledged, leftBehind, n := 0, 0, 0
	enough := sample(12, 240)
	for ; n < enough || leftBehind == 0 && n < 10*enough; n++ { // at least one kill has to hit a backup
		c := spawn(t, "write", path)
		// The backup that was being written may have succeeded.
		acknowledged = c.expectLoad(acknowledged, acknowledged+1)
		for range rand.N(12) {
			acknowledged = int(c.expect("ACK")[0])
		}
		spin(backupTime)
		acknowledged = lastAck(c.kill(), acknowledged)
		names, err := temps(path)
		require.NoError(t, err)
		leftBehind += len(names)
	}
	spawn(t, "hold", path).expectLoad(acknowledged, acknowledged+1)
	require.NotZero(t, leftBehind)
	t.Logf("%d kills, %d backups, %d temporary files left and swept", n, acknowledged, leftBehind)
}

// Each process finds every Sync that the processes before it have acknowledged, and
// never half an Update.
func TestKilledSyncersLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	var acknowledged [syncers]int
	total, torn := 0, 0
	for range sample(12, 240) {
		c := spawn(t, "sync", path)
		c.expect("READY")
		for i := range syncers {
			found := c.expect("FOUND")
			require.EqualValues(t, i, found[0])
			require.GreaterOrEqual(t, int(found[1]), acknowledged[i])
			require.LessOrEqual(t, int(found[1]), acknowledged[i]+1, "a number that was not written")
			acknowledged[i] = int(found[1])
		}
		c.expect("LOADED")
		for range 20 + rand.N(200) {
			ack := c.expect("ACK")
			acknowledged[ack[0]] = int(ack[1])
			total++
		}
		for _, line := range c.kill() {
			var i, n int
			if _, err := fmt.Sscanf(line, "ACK %d %d", &i, &n); err == nil {
				acknowledged[i] = n
				total++
			}
		}
		entries, steps := folded(t, path)
		torn += steps
		for i := range syncers {
			n := entries[fmt.Sprint("syncer ", i)]
			require.Equal(t, n+filler, entries[fmt.Sprint("shadow ", i)], "half an Update")
		}
	}
	require.NotZero(t, torn, "no process was killed with steps in its file")
	t.Logf("%d acknowledged, %d files with steps", total, torn)
}

// folded returns what the file at path stands for, and 1 if it has steps.
func folded(t *testing.T, path string) (entries map[string]string, steps int) {
	t.Helper()
	store, err := genie.NewStore(genie.WithPath(path), genie.WithReadOnly())
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	if strings.Contains(string(text), "\n{\"step\":") {
		steps = 1
	}
	return store.Snapshot(), steps
}

// A process that is killed while it loads, or before its first backup, takes
// nothing with it.
func TestKilledLoadersLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	const loaded = 7
	writeGeneration(t, path, loaded)
	var load time.Duration
	n, during := sample(20, 240), 0
	for i := range n {
		c := spawn(t, "hold", path)
		c.expect("READY")
		if i%20 == 0 {
			began := time.Now()
			c.expectLoaded(loaded, loaded)
			load = time.Since(began)
			c.kill()
			continue
		}
		spin(load)
		if len(c.kill()) == 0 {
			during++
		}
	}
	spawn(t, "hold", path).expectLoad(loaded, loaded)
	t.Logf("%d kills, %d before the end of the load", n, during)
}

// An end without a Close is like a kill.
func TestAProcessThatEndsGivesUpWhatItLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	first := spawn(t, "hold", path)
	first.expectLoad(7, 7)
	require.NoError(t, first.stdin.Close())
	require.Empty(t, first.end())
	spawn(t, "hold", path).expectLoad(7, 7)
}

func TestNoHome(t *testing.T) {
	t.Setenv("HOME", "")
	_, err := genie.NewStore()
	require.ErrorContains(t, err, "HOME")

	t.Setenv("HOME", filepath.Join(t.TempDir(), "none"))
	_, err = genie.NewStore()
	require.ErrorIs(t, err, os.ErrNotExist)
}

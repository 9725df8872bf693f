//go:build unix

package crash_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
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

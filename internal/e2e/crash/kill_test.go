//go:build unix

package crash_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

func kills(quick, all int) int {
	if long() {
		return all
	}
	return quick
}

// backupTime is about as long as the backup of a child takes.
const backupTime = 3 * time.Millisecond

// Each process goes on from what the one before it has left.
func TestKilledWritersLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	acknowledged, leftBehind, n := 0, 0, 0
	for ; n < kills(20, 400) || leftBehind == 0; n++ { // one at least has to hit a backup
		c := spawn(t, "write", path)
		// The backup that was being written may have succeeded.
		acknowledged = c.expectLoad(acknowledged, acknowledged+1)
		for range rand.N(12) {
			acknowledged = c.expect("ACK")[0]
		}
		spin(backupTime)
		acknowledged = lastAck(c.kill(), acknowledged)
		names, err := temps(path)
		require.NoError(t, err)
		leftBehind += len(names)
	}
	spawn(t, "hold", path).expectLoad(acknowledged, acknowledged+1)
	t.Logf("%d kills, %d backups, %d temporary files left and swept", n, acknowledged, leftBehind)
}

// A process that is killed while it loads, or before its first backup, has not
// taken anything with it.
func TestKilledLoadersLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	const loaded = 7
	writeGeneration(t, path, loaded)
	var load time.Duration
	n, during := kills(20, 400), 0
	for i := range n {
		c := spawn(t, "hold", path)
		c.expect("READY")
		if i%20 == 0 {
			began := time.Now()
			require.Equal(t, loaded, c.expect("LOADED")[0])
			load = time.Since(began)
			c.kill()
			continue
		}
		spin(load)
		if len(c.kill()) == 0 {
			during++
		}
	}
	require.Equal(t, loaded, spawn(t, "hold", path).expectLoad(loaded, loaded))
	t.Logf("%d kills, %d before the end of the load", n, during)
}

// writeGeneration makes a backup at path.
func writeGeneration(t *testing.T, path string, n int) {
	t.Helper()
	store, err := genie.NewStore(genie.WithPath(path))
	require.NoError(t, err)
	fill(store)
	store.Set(generationKey, strconv.Itoa(n))
	require.NoError(t, store.Backup())
}

func TestTheSecondProcessStartsEmptyAndTheThirdRecovers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	writeGeneration(t, path, 7)
	first := spawn(t, "hold", path)
	first.expectLoad(7, 7)
	second := spawn(t, "hold", path)
	second.expectLoad(0, 0)
	first.kill()
	spawn(t, "hold", path).expectLoad(7, 7)
	second.kill()
	spawn(t, "hold", path).expectLoad(0, 0)
}

// An end without a backup is like a kill.
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

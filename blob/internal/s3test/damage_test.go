package s3test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/blob"
)

// A byte that changes on the disk of the server is noticed, and the copy is passed over.
func TestFlippedByte(t *testing.T) {
	s := newStage(t)
	for name, size := range map[string]int{"one request": 1 << 20, "several parts": multipart} {
		t.Run(name, func(t *testing.T) {
			c := newScene(t, s)
			made := c.copy(t, backupOf(size))
			copies := c.copies(t, c.direct)
			require.NoError(t, copies.Verify(t.Context(), made))

			flip(t, s.server.File(bucketName, made.Name))
			damage := requireDamage(t, copies.Verify(t.Context(), made))
			require.Equal(t, made, damage.Copy)
			store := storeOf(t, nil)
			restored, err := copies.Restore(t.Context(), store)
			require.NoError(t, err)
			require.Equal(t, c.old[1], restored.Copy)
			require.Len(t, restored.PassedOver, 1)
			require.Equal(t, made, restored.PassedOver[0].Copy)
			require.Equal(t, olderEntries, store.Snapshot())
		})
	}
}

// flip changes one bit in the middle of a file, which is within a value. The result is a valid
// backup, too, so only a sum can tell.
func flip(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(file, text, 0o600))
}

func requireDamage(t *testing.T, err error) *blob.DamageError {
	t.Helper()
	var damage *blob.DamageError
	require.ErrorAs(t, err, &damage)
	require.ErrorIs(t, err, blob.ErrDamaged)
	return damage
}

// The client of S3 itself notices a flipped byte only in an object that was stored by one
// request. This is why a copy has a sum of its own.
func TestClientMissesFlippedByte(t *testing.T) {
	s := newStage(t)
	for _, size := range []int{1 << 20, multipart} {
		c := newScene(t, s)
		made := c.copy(t, backupOf(size))
		flip(t, s.server.File(bucketName, made.Name))
		text, err := get(t.Context(), s.direct, made.Name)
		require.Len(t, text, int(made.Bytes))
		if size < multipart {
			require.ErrorContains(t, err, "checksum")
		} else {
			require.NoError(t, err)
		}
	}
}

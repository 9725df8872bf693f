package s3test

import (
	"context"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/blob"
)

// Credentials that the server itself refuses.
func TestRefusedCredentials(t *testing.T) {
	s := newStage(t)
	c := newScene(t, s)
	unknown, wrong := Root(), Root()
	unknown.AccessKeyID, wrong.SecretAccessKey = "AKIASTRANGER", "another"
	for name, as := range map[string]aws.Credentials{
		"unknown key":  unknown,
		"wrong secret": wrong,
		"expired":      Temporary(time.Now().Add(-time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			copies := c.copies(t, NewClient(t, s.server.Address(), Always(as)))
			store := storeOf(t, newestEntries)
			_, err := copies.Copy(t.Context(), store)
			requireRefused(t, err)
			_, err = copies.List(t.Context())
			requireRefused(t, err)
			requireRefused(t, copies.Verify(t.Context(), c.old[0]))
			requireRefused(t, copies.RestoreCopy(t.Context(), store, c.old[0]))
			_, err = copies.Restore(t.Context(), store)
			requireRefused(t, err)
			require.Equal(t, newestEntries, store.Snapshot())
			require.Equal(t, c.old, c.requireWhole(t))
		})
	}
}

// requireRefused: neither missing nor damaged copies are a reason to begin with an empty store.
func requireRefused(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, fs.ErrPermission)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, blob.ErrDamaged)
}

// A credential expires after each number of requests of a copy, and is renewed after it.
func TestCredentialExpiresDuringACopy(t *testing.T) {
	s := newStage(t)
	good, expired := Temporary(time.Now().Add(time.Hour)), Temporary(time.Now().Add(-time.Second))
	for n := range 9 {
		c := newScene(t, s)
		var left atomic.Int64
		left.Store(int64(n))
		client := NewClient(t, s.server.Address(), aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			if left.Add(-1) < 0 {
				return expired, nil
			}
			return good, nil
		}))
		copies := c.copies(t, client, blob.WithKeep(2, 0))
		made, err := copies.Copy(t.Context(), newest)
		listed := c.requireWhole(t)
		switch {
		case n < 4: // a listing, the backup stored and read, the seal
			requireRefused(t, err)
			require.Equal(t, c.old, listed)
		case n < 8:
			require.ErrorIs(t, err, blob.ErrPrune)
			require.Equal(t, made, listed[len(listed)-1])
		default:
			require.NoError(t, err)
		}
		left.Store(100)
		_, err = copies.Copy(t.Context(), newest)
		require.NoError(t, err)
	}
}

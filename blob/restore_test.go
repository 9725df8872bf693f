package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/api/googleapi"

	"github.com/windevkay/forge/genie"
)

// twoCopies returns a bucket with two copies, and the copies.
func twoCopies(t *testing.T) (b *faultyBucket, older, newer Copy) {
	t.Helper()
	b = newFaultyBucket()
	oldCopies(t, b, "older", "newer")
	all := must(b.copies(t).List(t.Context()))
	return b, all[0], all[1]
}

// at returns a fault that gives an error for some operations.
func at(match func(o op) bool, err error) func(context.Context, op) error {
	return func(_ context.Context, o op) error {
		if match(o) {
			return err
		}
		return nil
	}
}

// Each operation of a restore fails in its turn. The store has the newest copy, or an
// older one that Restored names, or is as it was.
func TestEveryOperationOfARestoreFails(t *testing.T) {
	for _, failure := range []error{errOutage, errRefused, errNoObject} {
		t.Run(failure.Error(), func(t *testing.T) {
			ops := sweep(t, failure, func(t *testing.T, fault func(context.Context, op) error) bool {
				b, older, newer := twoCopies(t)
				b.fail(fault)
				s := store(t, "as it was")
				restored, err := b.copies(t).Restore(t.Context(), s)
				switch {
				case err != nil:
					require.ErrorIs(t, err, failure)
					require.NotErrorIs(t, err, fs.ErrNotExist)
					require.Equal(t, errors.Is(failure, errRefused), errors.Is(err, fs.ErrPermission))
					require.Equal(t, "as it was", valueOf(s))
				case len(restored.PassedOver) > 0:
					require.Equal(t, newer, restored.PassedOver[0].Copy)
					require.Equal(t, older, restored.Copy)
					require.Equal(t, "older", valueOf(s))
				default:
					require.Equal(t, newer, restored.Copy)
					require.Equal(t, "newer", valueOf(s))
				}
				return err != nil
			})
			require.Greater(t, ops, 3)
		})
	}
}

func TestReadingThatBreaksOff(t *testing.T) {
	b, older, newer := twoCopies(t)
	inTheMiddle := func(o op) bool { return o.kind == "read" && o.key == newer.Name && o.at > 0 }
	times := 1
	b.fail(func(_ context.Context, o op) error {
		if inTheMiddle(o) && times > 0 {
			times--
			return errOutage
		}
		return nil
	})
	s := store(t, "as it was")
	restored, err := b.copies(t).Restore(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, Restored{Copy: newer}, restored, "a line that breaks once does not cost a copy")
	require.Equal(t, "newer", valueOf(s))

	b.fail(at(inTheMiddle, errOutage))
	restored, err = b.copies(t).Restore(t.Context(), s)
	require.ErrorIs(t, err, errOutage, "an older copy would lose writes, and the newest may be whole")
	require.NotErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "broke off 2 times")
	require.Equal(t, Restored{}, restored)
	require.Equal(t, "newer", valueOf(s))

	b.fail(at(inTheMiddle, syscall.EIO))
	restored, err = b.copies(t).Restore(t.Context(), s)
	require.NoError(t, err, "the disk of a folder cannot read the newest")
	require.Equal(t, older, restored.Copy)
	require.ErrorIs(t, restored.PassedOver[0], syscall.EIO)
	require.Equal(t, "older", valueOf(s))
}

// A service that does not answer, or refuses, is no reason to take an older copy.
func TestNoAnswerPassesNothingOver(t *testing.T) {
	b, _, newer := twoCopies(t)
	for name, fault := range map[string]func(context.Context, op) error{
		"no answer":                at(func(o op) bool { return o.kind == "open" && o.key == newer.Name }, errOutage),
		"no answer to a list":      at(func(o op) bool { return o.kind == "list" }, errOutage),
		"refused":                  at(func(o op) bool { return o.kind == "open" && o.key == newer.Name }, errRefused),
		"refused as by Google":     at(func(o op) bool { return o.kind == "open" }, errGoogle),
		"refused in the middle":    at(func(o op) bool { return o.kind == "read" && o.at > 0 }, errRefused),
		"refused to list":          at(func(o op) bool { return o.kind == "list" }, errRefused),
		"all refused":              at(func(op) bool { return true }, errRefused),
		"a missing file":           at(func(o op) bool { return o.kind == "open" }, errNoToken),
		"a missing file at a read": at(func(o op) bool { return o.kind == "read" && o.at > 0 }, errNoToken),
		"a missing file at a list": at(func(o op) bool { return o.kind == "list" }, errNoToken),
		"the service is off at 2":  at(func(o op) bool { return o.kind == "read" && o.at > 0 || o.kind == "open" && o.key != newer.Name }, errOutage),
	} {
		t.Run(name, func(t *testing.T) {
			b.fail(fault)
			s := store(t, "as it was")
			_, err := b.copies(t).Restore(t.Context(), s)
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrNoCopy)
			require.NotErrorIs(t, err, fs.ErrNotExist)
			require.NotErrorIs(t, err, ErrDamaged)
			require.NotErrorIs(t, err, ErrRemoved)
			require.Equal(t, strings.Contains(name, "refused"), errors.Is(err, fs.ErrPermission), "%v", err)
			require.Equal(t, "as it was", valueOf(s))
			require.NotErrorIs(t, b.copies(t).Verify(t.Context(), newer), fs.ErrNotExist)
		})
	}
}

// errNoToken is the error of a request whose credentials are in a file that is missing.
var errNoToken = &fs.PathError{Op: "open", Path: "/var/run/secrets/token", Err: syscall.ENOENT}

// A service whose listing fails is asked once, and the error says why it failed.
func TestAListingThatFailsIsNotRepeated(t *testing.T) {
	b, _, _ := twoCopies(t)
	requests := 0
	b.fail(func(_ context.Context, o op) error { requests++; return errNoToken })
	_, err := b.copies(t).List(t.Context())
	require.ErrorIs(t, err, syscall.ENOENT)
	require.ErrorContains(t, err, errNoToken.Path)
	require.Equal(t, 1, requests)
}

// errGoogle is a refusal that the driver of Google Cloud Storage takes for a missing object.
var errGoogle = &googleapi.Error{Code: http.StatusForbidden}

// A context that ends in the middle of each read.
func TestRestoreIsCancelled(t *testing.T) {
	b, _, newer := twoCopies(t)
	for n := range int(newer.Bytes) {
		ctx, cancel := context.WithCancel(t.Context())
		b.fail(at(func(o op) bool {
			if o.kind == "read" && o.at >= n {
				cancel()
			}
			return false
		}, nil))
		s := store(t, "as it was")
		restored, err := b.copies(t).Restore(ctx, s)
		cancel()
		if err == nil { // the last read was the one that cancelled
			require.Equal(t, "newer", valueOf(s))
			continue
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, restored.PassedOver)
		require.Equal(t, "as it was", valueOf(s))
	}
}

// sealText puts a text and its seal into a bucket, as another program may.
func sealText(b *faultyBucket, text string) Copy {
	at := time.Now().UTC()
	made := Copy{Name: "app/" + newName(at), Time: at, Bytes: int64(len(text)), SHA256: sha256.Sum256([]byte(text))}
	b.put(made.Name, []byte(text), at)
	b.put(sealOf(made), nil, at)
	return made
}

// Length and sum are right, and the contents are no backup.
func TestACopyThatIsNoBackup(t *testing.T) {
	for _, text := range []string{"", "{", `{"a":1}`, `{"a":"1"}x`, `{"a":"1","a":"2"}`, "\x00\x00"} {
		b, _, newer := twoCopies(t)
		made := sealText(b, text)
		s := store(t, "as it was")
		restored, err := b.copies(t).Restore(t.Context(), s)
		require.NoError(t, err, text)
		require.Equal(t, newer, restored.Copy)
		require.Equal(t, made, restored.PassedOver[0].Copy)
		require.ErrorIs(t, restored.PassedOver[0], genie.ErrCorrupt)
		require.Equal(t, "newer", valueOf(s))
	}
}

// The detector of the tests above: a reader that passes on the end of a backup without a look at
// the sum puts damaged entries into a store.
func TestAReaderThatDoesNotCheckIsNoticed(t *testing.T) {
	b, _, newer := twoCopies(t)
	b.put(newer.Name, []byte(`{"value":"never"}`+"\n"), newer.Time)
	s := store(t, "as it was")
	object := must(b.copies(t).bucket.NewReader(t.Context(), newer.Name, nil))
	_, err := s.ReadFrom(object)
	require.NoError(t, err)
	require.NoError(t, object.Close())
	require.Equal(t, "never", valueOf(s))

	s = store(t, "as it was")
	restored, err := b.copies(t).Restore(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "older", valueOf(s))
	require.ErrorContains(t, restored.PassedOver[0], "SHA-256")

	for _, text := range []string{`{"value":"short"}`, `{"value":"longer than it was"}`} {
		b.put(newer.Name, []byte(text), newer.Time)
		restored, err = b.copies(t).Restore(t.Context(), s)
		require.NoError(t, err)
		require.ErrorContains(t, restored.PassedOver[0], fmt.Sprint(newer.Bytes))
		require.NotContains(t, restored.PassedOver[0].Error(), "SHA-256", "the length says it more clearly")
	}
}

// Another writer makes a newer copy and removes the copy that a restore is about to read.
func TestRestoreBesideAWriterThatRemoves(t *testing.T) {
	b, _, newer := twoCopies(t)
	removed, writing := 0, false
	b.fail(func(_ context.Context, o op) error {
		if o.kind != "open" || removed == 3 || writing {
			return nil
		}
		removed, writing = removed+1, true
		_, err := b.copies(t, WithKeep(1, 0)).Copy(context.Background(), store(t, fmt.Sprint(removed)))
		writing = false
		return err
	})
	s := store(t, "as it was")
	restored, err := b.copies(t).Restore(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, restored.PassedOver, "a copy that was removed is not a damaged one")
	require.Equal(t, "3", valueOf(s))

	require.ErrorIs(t, b.copies(t).RestoreCopy(t.Context(), s, newer), ErrRemoved)
	require.ErrorIs(t, b.copies(t).Verify(t.Context(), newer), ErrRemoved)
	require.Equal(t, "3", valueOf(s))
}

// A listing is not of one instant: it may have the seal of a copy that was made meanwhile, and not the
// backup. The copy is whole, and a restore takes it.
func TestASealThatIsListedWithoutItsBackup(t *testing.T) {
	b, _, newer := twoCopies(t)
	b.fail(at(func(o op) bool {
		if o.kind == "list" && o.key < newer.Name { // before the last page
			b.hide(newer.Name)
		} else {
			b.hide("")
		}
		return false
	}, nil))
	listed := must(b.copies(t).list(t.Context())).copies
	require.Equal(t, newer, listed[1].Copy)
	require.False(t, listed[1].whole)
	s := store(t, "as it was")
	restored, err := b.copies(t).Restore(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, Restored{Copy: newer}, restored)
	require.Equal(t, "newer", valueOf(s))
}

// S3 may refuse access to an object that is missing, if the right to list is bound to a prefix. A backup
// that is missing cannot be told from one that may not be read then, so no older copy is taken.
func TestAMissingBackupThatIsRefused(t *testing.T) {
	b, _, newer := twoCopies(t)
	require.NoError(t, b.Delete(t.Context(), newer.Name, nil))
	b.fail(at(func(o op) bool { return o.kind == "open" && o.key == newer.Name }, errRefused))
	s := store(t, "as it was")
	_, err := b.copies(t).Restore(t.Context(), s)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.NotErrorIs(t, err, ErrDamaged)
	require.Equal(t, "as it was", valueOf(s))
}

// A line that is cut may end an answer without an error. The copy is read again before that counts as damage.
func TestABackupThatEndsEarly(t *testing.T) {
	b, older, newer := twoCopies(t)
	whole := b.contents()[newer.Name]
	for times, want := range map[int]Copy{1: newer, 2: older} {
		cut := times
		b.fail(func(_ context.Context, o op) error {
			if o.kind == "open" && o.key == newer.Name {
				text := whole
				if cut > 0 {
					text = whole[:len(whole)/2]
				}
				cut--
				b.put(newer.Name, []byte(text), newer.Time)
			}
			return nil
		})
		s := store(t, "as it was")
		restored, err := b.copies(t).Restore(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, want, restored.Copy)
		if want == older {
			require.ErrorContains(t, restored.PassedOver[0], fmt.Sprintf("has %d bytes, and not", len(whole)/2))
		}
	}
}

// A bucket that does not say whether a seal is there is one that does not answer.
func TestALookAtTheSealThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		made := must(b.copies(t).Copy(t.Context(), store(t, "a")))
		require.NoError(t, b.Delete(t.Context(), made.Name, nil))
		b.fail(hangs("look"))
		_, err := b.copies(t).Restore(t.Context(), store(t, ""))
		require.ErrorIs(t, err, ErrStalled)
	})
}

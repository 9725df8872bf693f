package s3test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/blob"
)

// lasting are the faults that an outage can be.
var lasting = []Fault{ResetRequest, CutAnswer, ExpiredForbidden}

// Every request of a copy, of its removal of older copies included, has each fault.
func TestEveryRequestOfACopyFails(t *testing.T) {
	s := newStage(t)
	for _, fault := range everyFault() {
		t.Run(fault.Name, func(t *testing.T) { sweepCopy(t, s, fault, s.proxy.Arm) })
	}
	for _, fault := range lasting {
		t.Run(fault.Name+", lasting", func(t *testing.T) { sweepCopy(t, s, fault, s.proxy.ArmFrom) })
	}
}

// arming is Arm or ArmFrom of a proxy.
type arming func(fault Fault, nth int, operations ...Operation) (struck <-chan struct{})

func sweepCopy(t *testing.T, s *stage, fault Fault, arm arming) {
	nth := 1
	for failCopy(t, newScene(t, s), fault, newest, func() <-chan struct{} { return arm(fault, nth) }) {
		nth++
	}
	require.Equal(t, 8, nth-1, "a listing, two objects stored, one read, two removed with a look at each")
}

// As above, of a copy with several parts. Only the requests that differ are repeated.
func TestEveryRequestOfAMultipartCopyFails(t *testing.T) {
	s := newStage(t)
	for _, fault := range []Fault{
		StallRequest, StallAnswer, ResetRequest, ResetAnswer, CutRequest, CutAnswer, InternalError, ExpiredToken,
	} {
		t.Run(fault.Name, func(t *testing.T) {
			for at, nth := range map[Operation]int{CreateMultipartUpload: 1, UploadPart: 3, CompleteMultipartUpload: 1} {
				hit := failCopy(t, newScene(t, s), fault, large, func() <-chan struct{} {
					return s.proxy.Arm(fault, nth, at)
				})
				require.True(t, hit, at)
			}
		})
	}
	t.Run("slow throughout", func(t *testing.T) {
		failCopy(t, newScene(t, s), Slow, large, func() <-chan struct{} { return s.proxy.ArmFrom(Slow, 1) })
	})
}

// failCopy makes a copy while a fault is armed, and then checks the copies in the bucket. It
// reports whether the fault has struck.
func failCopy(t *testing.T, c *scene, fault Fault, src backup, arm func() <-chan struct{}) (hit bool) {
	t.Helper()
	var made blob.Copy
	copies := c.copies(t, c.client, blob.WithKeep(2, 0))
	err, hit := during(t, fault, arm(), func(ctx context.Context) (err error) {
		made, err = copies.Copy(ctx, src)
		return err
	})
	requests := c.proxy.Requests()
	c.proxy.Disarm()
	requireNamed(t, fault, err, hit, requests)

	listed := c.requireWhole(t)
	switch {
	case err == nil:
		require.Equal(t, []blob.Copy{c.old[1], made}, listed)
		requireCopyOf(t, src, made)
	case errors.Is(err, blob.ErrPrune):
		require.Equal(t, []blob.Copy{c.old[1], made}, listed[len(listed)-2:])
		requireCopyOf(t, src, made)
	case fault.isAnswer() && hasSeal(requests): // only the answer was lost
		require.Len(t, listed, 3)
		require.Equal(t, c.old, listed[:2])
		requireCopyOf(t, src, listed[2])
	default:
		require.Equal(t, c.old, listed)
	}

	next := c.copy(t, newest, blob.WithKeep(1, 0))
	require.Equal(t, []blob.Copy{next}, c.requireWhole(t), "the next copy puts everything in order")
	return hit
}

// hasSeal reports whether a seal was sent.
func hasSeal(requests []Request) bool {
	for _, r := range requests {
		if r.Operation == PutObject && strings.HasSuffix(r.Key, ".sealed") {
			return true
		}
	}
	return false
}

// requireNamed checks the error of a call that sent these requests, and during which a fault has
// struck, or has not.
func requireNamed(t *testing.T, fault Fault, err error, hit bool, requests []Request) {
	t.Helper()
	if !hit || fault.is(Slow) {
		require.NoError(t, err)
		return
	}
	if fault.stalls() {
		require.ErrorIs(t, err, context.Canceled)
	}
	switch last := requests[len(requests)-1]; {
	case fault.is(ExpiredToken) && last.Operation == HeadObject:
		// The answer to HEAD has no body, so the code of the error is lost. The status, 400,
		// does not say that access was refused.
		require.Error(t, err)
	case fault.denies():
		require.ErrorIs(t, err, fs.ErrPermission)
	default:
		require.NotErrorIs(t, err, fs.ErrPermission)
	}
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, blob.ErrDamaged, "the line was at fault, and no copy")
	if err != nil {
		require.ErrorContains(t, err, "genie/blob: ")
	}
}

// Every request of a restore has each fault. The store has the newest copy then, or is as it
// was: never an older copy, because no copy is damaged.
func TestEveryRequestOfARestoreFails(t *testing.T) {
	s := newStage(t)
	c := newScene(t, s)
	copies := c.copies(t, c.client)
	untouched := map[string]string{"before": "the restore"}
	eachFault(t, s, 2, func(t *testing.T, fault Fault, arm func() <-chan struct{}) bool {
		store := storeOf(t, untouched)
		var restored blob.Restored
		err, hit := during(t, fault, arm(), func(ctx context.Context) (err error) {
			restored, err = copies.Restore(ctx, store)
			return err
		})
		requireNamed(t, fault, err, hit, s.proxy.Requests())
		if err == nil {
			require.Equal(t, blob.Restored{Copy: c.old[1]}, restored)
			require.Equal(t, olderEntries, store.Snapshot())
		} else {
			require.Equal(t, untouched, store.Snapshot())
		}
		return hit
	})
}

func TestEveryRequestOfAVerifyFails(t *testing.T) {
	s := newStage(t)
	c := newScene(t, s)
	copies := c.copies(t, c.client)
	eachFault(t, s, 1, func(t *testing.T, fault Fault, arm func() <-chan struct{}) bool {
		err, hit := during(t, fault, arm(), func(ctx context.Context) error { return copies.Verify(ctx, c.old[0]) })
		requireNamed(t, fault, err, hit, s.proxy.Requests())
		return hit
	})
}

// The second page of a listing has each fault: List returns all copies, or an error. The first page
// is a request of copies and of restores, too.
func TestSecondPageOfAListingFails(t *testing.T) {
	s := newStage(t)
	c := newScene(t, s)
	want := manyCopies(t, c)
	copies := c.copies(t, c.client)
	list := func(t *testing.T, fault Fault, arm func() <-chan struct{}) (hit bool) {
		var listed []blob.Copy
		err, hit := during(t, fault, arm(), func(ctx context.Context) (err error) {
			listed, err = copies.List(ctx)
			return err
		})
		requireNamed(t, fault, err, hit, s.proxy.Requests())
		if err == nil {
			require.Len(t, listed, want)
		} else {
			require.Empty(t, listed)
		}
		return hit
	}
	for _, fault := range everyFault() {
		t.Run(fault.Name, func(t *testing.T) {
			require.True(t, list(t, fault, func() <-chan struct{} { return s.proxy.Arm(fault, 2) }))
		})
	}
}

// eachFault calls try with each fault at each request, once and from that request on, until
// try reports that no fault has struck. A call without faults has this many requests.
func eachFault(t *testing.T, s *stage, requests int, try func(t *testing.T, fault Fault, arm func() <-chan struct{}) (hit bool)) {
	t.Helper()
	for _, fault := range everyFault() {
		for name, arm := range map[string]arming{"": s.proxy.Arm, ", lasting": s.proxy.ArmFrom} {
			t.Run(fault.Name+name, func(t *testing.T) {
				nth := 1
				for try(t, fault, func() <-chan struct{} { return arm(fault, nth) }) {
					nth++
				}
				require.Equal(t, requests, nth-1)
			})
		}
	}
}

// manyCopies puts more copies beside the old ones than a page of a listing has, and returns
// the number of all. They are put into the folder of the server, which is quicker.
func manyCopies(t *testing.T, c *scene) int {
	t.Helper()
	const more = 501 // two objects each; a page of S3 has 1000
	for i := range more {
		c.plant(t, fmt.Sprintf("20010101T000000.%09dZ", i), "{}")
	}
	return more + len(c.old)
}

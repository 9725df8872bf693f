package s3test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/blob"
)

// A client that tries again, as each does unless told otherwise, hides a fault of a moment. It
// does not hide an answer that is cut in the middle, such as that of a listing.
func TestClientTriesAgain(t *testing.T) {
	s := newStage(t)
	client := NewClient(t, s.proxy.Address(), Always(Root()), func(o *s3.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	})
	for _, fault := range []Fault{ResetRequest, ResetAnswer, CutRequest, InternalError, SlowDown} {
		t.Run(fault.Name, func(t *testing.T) {
			for nth := 1; nth <= 8; nth++ {
				c := newScene(t, s)
				struck := s.proxy.Arm(fault, nth)
				made, err := c.copies(t, client, blob.WithKeep(2, 0)).Copy(t.Context(), newest)
				require.NoError(t, err)
				requireClosed(t, struck)
				require.Equal(t, []blob.Copy{c.old[1], made}, c.requireWhole(t))
			}
		})
	}
}

// A deadline ends each call, also where the bucket does not answer.
func TestDeadline(t *testing.T) {
	s := newStage(t)
	c := newScene(t, s)
	copies := c.copies(t, s.client)
	store := storeOf(t, newestEntries)
	for name, call := range map[string]func(context.Context) error{
		"copy":    func(ctx context.Context) error { _, err := copies.Copy(ctx, store); return err },
		"list":    func(ctx context.Context) error { _, err := copies.List(ctx); return err },
		"verify":  func(ctx context.Context) error { return copies.Verify(ctx, c.old[0]) },
		"restore": func(ctx context.Context) error { _, err := copies.Restore(ctx, store); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s.proxy.ArmFrom(StallRequest, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- call(ctx) }()
			require.ErrorIs(t, within(time.After(patience), done), context.DeadlineExceeded)
		})
	}
}

// A schedule goes on through an outage, and its Stop does not wait for the end of one.
func TestScheduleThroughAnOutage(t *testing.T) {
	s := newStage(t)
	c := newScene(t, s)
	store := storeOf(t, newestEntries)
	s.proxy.ArmFrom(ResetRequest, 1)
	schedule, err := c.copies(t, s.client).Start(store, time.Millisecond)
	require.NoError(t, err)
	require.Error(t, <-schedule.Errors())
	require.Zero(t, schedule.Stats().Copies)
	s.proxy.Disarm()
	require.Eventually(t, func() bool { return schedule.Stats().Copies == 1 }, patience, time.Millisecond)
	listed := c.requireWhole(t)
	require.Len(t, listed, 3)
	requireCopyOf(t, newest, listed[2])

	struck := s.proxy.ArmFrom(StallRequest, 1)
	store.Set("value", "4")
	requireClosed(t, struck)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, schedule.Stop(ctx), context.DeadlineExceeded)
	s.proxy.Disarm()
	require.Equal(t, listed, c.requireWhole(t))
}

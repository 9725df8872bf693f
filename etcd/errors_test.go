package etcd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var sentinels = []error{ErrConflict, ErrUnknown, ErrUnavailable, ErrNotVisible, ErrTooLarge, ErrQuota, ErrClosed, ErrNotReplica}

// Each error of a write has one sentinel, or none, and its cause. Only a quota has two.
func TestErrorsOfWrites(t *testing.T) {
	for _, test := range []struct {
		cause error
		want  error // nil for an error that speaks for itself
	}{
		{rpctypes.ErrNoSpace, ErrQuota},
		{rpctypes.ErrRequestTooLarge, ErrTooLarge},
		{rpctypes.ErrTooManyOps, ErrTooLarge},
		{status.Error(codes.ResourceExhausted, "trying to send message larger than max (3145752 vs. 2097152)"), ErrTooLarge},
		{status.Error(codes.ResourceExhausted, "too many requests, says a gateway"), ErrUnknown},
		{rpctypes.ErrNoLeader, ErrUnavailable},
		{rpctypes.ErrTooManyRequests, ErrUnavailable},
		{rpctypes.ErrLeaderChanged, ErrUnknown},
		{rpctypes.ErrTimeout, ErrUnknown},
		{rpctypes.ErrTimeoutDueToLeaderFail, ErrUnknown},
		{rpctypes.ErrTimeoutDueToConnectionLost, ErrUnknown},
		{rpctypes.ErrStopped, ErrUnknown},
		{status.Error(codes.Unavailable, "error reading from server: EOF"), ErrUnknown},
		{status.Error(codes.Internal, "stream terminated"), ErrUnknown},
		{status.Error(codes.Unknown, "?"), ErrUnknown},
		{context.DeadlineExceeded, ErrUnknown},
		{context.Canceled, ErrUnknown},
		{errTimeout, ErrUnknown},
		{rpctypes.ErrPermissionDenied, nil},
		{rpctypes.ErrInvalidAuthToken, nil},
		{rpctypes.ErrLeaseNotFound, nil},
		{rpctypes.ErrLeaseTTLTooLarge, nil},
		{rpctypes.ErrCorrupt, nil},
	} {
		t.Run(fmt.Sprint(test.cause), func(t *testing.T) {
			err := ofWrite(test.cause)
			require.ErrorIs(t, err, test.cause)
			for _, sentinel := range sentinels {
				want := sentinel == test.want || test.want == ErrQuota && sentinel == ErrUnknown
				assert.Equal(t, want, errors.Is(err, sentinel), "%v", sentinel)
			}
			assert.Equal(t, !errors.Is(err, ErrUnknown), rule(test.cause).refused)
			assert.NotErrorIs(t, ofRead(test.cause), ErrUnknown, "a read has no outcome")
		})
	}
	assert.NoError(t, ofWrite(nil))
	assert.NoError(t, ofRead(nil))
}

func TestOnlyWhatIsRefusedIsSentAgain(t *testing.T) {
	for _, err := range []error{rpctypes.ErrNoLeader, rpctypes.ErrTooManyRequests} {
		assert.True(t, rule(err).again && rule(err).refused, err)
	}
	for _, err := range []error{rpctypes.ErrTimeout, rpctypes.ErrNoSpace, rpctypes.ErrRequestTooLarge, context.Canceled} {
		assert.False(t, rule(err).again, err)
	}
}

func TestNotVisibleError(t *testing.T) {
	err := fmt.Errorf("set: %w", &NotVisibleError{7, context.DeadlineExceeded})
	require.ErrorIs(t, err, ErrNotVisible)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var typed *NotVisibleError
	require.ErrorAs(t, err, &typed)
	assert.EqualValues(t, 7, typed.Revision)
	assert.Contains(t, err.Error(), "7")
}

// The client of etcd says Canceled or DeadlineExceeded, whatever the reason was.
func TestEndedTellsTheReason(t *testing.T) {
	live := t.Context()
	closed, cancel := context.WithCancelCause(t.Context())
	cancel(ErrClosed)
	late, release := context.WithDeadlineCause(t.Context(), time.Now(), errTimeout)
	defer release()
	broken := status.Error(codes.Unavailable, "broken")
	assert.Equal(t, ErrClosed, ended(closed, context.Canceled))
	assert.Equal(t, ErrClosed, ended(closed, status.Error(codes.Canceled, "")))
	assert.Equal(t, ErrClosed, ended(closed, rpctypes.Error(rpctypes.ErrGRPCCanceled)))
	assert.Equal(t, errTimeout, ended(late, context.DeadlineExceeded))
	assert.Equal(t, broken, ended(closed, broken), "another error came first")
	assert.Equal(t, broken, ended(live, broken))
	assert.NoError(t, ended(closed, nil))
}

// The cause of a caller's context is often the error of another write.
func TestAForeignCauseSaysNothing(t *testing.T) {
	for _, cause := range append([]error{rpctypes.ErrPermissionDenied, rpctypes.ErrNoLeader, errors.New("cause")}, sentinels...) {
		if cause == ErrClosed {
			continue // it says nothing about the outcome of a write
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		require.NoError(t, reasonOf(ctx))
		cancel(fmt.Errorf("another write: %w", cause))
		err := ofWrite(ended(ctx, context.Canceled))
		require.ErrorIs(t, err, ErrUnknown)
		require.ErrorIs(t, err, context.Canceled)
		assert.Contains(t, err.Error(), cause.Error())
		for _, sentinel := range append(sentinels, cause) {
			assert.Equal(t, sentinel == ErrUnknown, errors.Is(err, sentinel), "%v: %v", cause, sentinel)
		}
	}
}

func TestJoinedErrorsAreOneLine(t *testing.T) {
	err := joined(ErrUnknown, nil, errTimeout)
	require.EqualError(t, err, "outcome unknown: no answer in time: context deadline exceeded")
	require.ErrorIs(t, err, ErrUnknown)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestErrorsKeepsTheOldest(t *testing.T) {
	s := newStore(nil, "app/", settings{}, nil)
	for i := range 15 {
		s.report(fmt.Errorf("error %d", i))
	}
	require.Len(t, s.Errors(), 10)
	require.EqualError(t, <-s.Errors(), "genie/etcd: error 0")
	require.EqualError(t, s.lastError, "error 14")
}

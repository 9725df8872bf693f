package faults

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/windevkay/forge/genie/etcd"
)

// counts are how the calls of a replica's workers have ended.
type counts struct {
	acknowledged atomic.Int64 // writes
	timed        atomic.Int64 // of those, with a time to live
	invisible    atomic.Int64 // of those, with the error that they are not visible here in time
	unknown      atomic.Int64 // writes that may have happened or not
	refused      atomic.Int64 // writes that did not happen
	conflicts    atomic.Int64 // runs of an Update's function after the first
	read         atomic.Int64 // Syncs that succeeded, with a View
	unread       atomic.Int64 // Syncs that failed
}

func (c *counts) String() string {
	return fmt.Sprintf("acknowledged %d (not visible in time %d), unknown %d, refused %d, conflicts %d, reads %d, failed Syncs %d",
		c.acknowledged.Load(), c.invisible.Load(), c.unknown.Load(), c.refused.Load(),
		c.conflicts.Load(), c.read.Load(), c.unread.Load())
}

// failed returns the number of calls that failed for any reason.
func (c *counts) failed() int64 { return c.unknown.Load() + c.refused.Load() + c.unread.Load() }

func (c *counts) add(other *counts) {
	c.acknowledged.Add(other.acknowledged.Load())
	c.timed.Add(other.timed.Load())
	c.invisible.Add(other.invisible.Load())
	c.unknown.Add(other.unknown.Load())
	c.refused.Add(other.refused.Load())
	c.conflicts.Add(other.conflicts.Load())
	c.read.Add(other.read.Load())
	c.unread.Add(other.unread.Load())
}

// An outcome is what the error of a write says about the write.
type outcome int

const (
	acknowledged outcome = iota
	unknown
	refused
	unclear // the error keeps to none of the documented classes
)

// outcomeOf returns the outcome that a write's error documents.
func outcomeOf(err error) outcome {
	switch {
	case err == nil, errors.Is(err, etcd.ErrNotVisible):
		return acknowledged
	case errors.Is(err, etcd.ErrUnknown):
		return unknown
	case isAny(err, etcd.ErrConflict, etcd.ErrUnavailable, etcd.ErrQuota, etcd.ErrClosed, etcd.ErrTooLarge):
		return refused
	case errors.Is(err, rpctypes.ErrLeaseNotFound): // the lease of a SetWithTTL ended before its write
		return refused
	default:
		return unclear
	}
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// count counts a write, and returns its outcome.
func (c *counts) count(err error) outcome {
	o := outcomeOf(err)
	switch o {
	case acknowledged:
		c.acknowledged.Add(1)
		if err != nil {
			c.invisible.Add(1)
		}
	case unknown:
		c.unknown.Add(1)
	default:
		c.refused.Add(1)
	}
	return o
}

func TestOutcomes(t *testing.T) {
	for want, errs := range map[outcome][]error{
		acknowledged: {nil, fmt.Errorf("x: %w", &etcd.NotVisibleError{Revision: 1, Err: context.DeadlineExceeded})},
		unknown:      {fmt.Errorf("x: %w: %w", etcd.ErrUnknown, context.DeadlineExceeded)},
		refused:      {fmt.Errorf("x: %w", etcd.ErrConflict), etcd.ErrUnavailable, etcd.ErrQuota, fmt.Errorf("x: %w", rpctypes.ErrLeaseNotFound)},
		unclear:      {errors.New("x"), context.DeadlineExceeded},
	} {
		for _, err := range errs {
			require.Equal(t, want, outcomeOf(err), "%v", err)
		}
	}
}

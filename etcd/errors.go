package etcd

import (
	"errors"
	"fmt"
)

// Errors to test for with [errors.Is]. The errors of etcd, of gRPC and of the context are found
// in the same way, behind them: rpctypes.ErrNoSpace, [context.DeadlineExceeded].
var (
	// ErrConflict is given by an Update whose tries all met a write of another client.
	// Nothing was written.
	ErrConflict = errors.New("conflict with other writers")

	// ErrUnknown is given for a write that the cluster may have applied, or may still apply,
	// or not. A Sync and a look at the keys tell later.
	ErrUnknown = errors.New("outcome unknown")

	// ErrUnavailable is given when the cluster cannot be reached, has no leader, or does not
	// answer a read in time. A write with this error did not happen and will not.
	ErrUnavailable = errors.New("cluster unavailable")

	// ErrNotVisible is in every [*NotVisibleError]: the write did happen.
	ErrNotVisible = errors.New("acknowledged, but not visible here in time")

	// ErrTooLarge is given for a request beyond a limit of the cluster: by default 1.5 MiB, and
	// 128 operations or comparisons a transaction. Nothing was written.
	ErrTooLarge = errors.New("request too large")

	// ErrQuota is given when the cluster's database has reached its quota. Nothing was
	// written. The cluster takes writes again once it was compacted and defragmented and its
	// alarm was disarmed.
	ErrQuota = errors.New("cluster out of space")

	// ErrClosed is given for writes and Syncs after, or during, a Close.
	ErrClosed = errors.New("store is closed")

	// ErrNotReplica is given by Open for a file that is a backup of genie, but not of a replica
	// of the prefix.
	ErrNotReplica = errors.New("file is not a replica of this prefix")
)

// A NotVisibleError reports that the quorum has acknowledged a write, at Revision, and that
// this replica did not reach Revision in time. Other replicas may see the write already. A
// reader here sees it once [Store.Revision] is at least Revision.
type NotVisibleError struct {
	Revision int64
	Err      error // the end of the wait: an error of the context, ErrClosed, …
}

// Error names the revision and the reason.
func (e *NotVisibleError) Error() string {
	return fmt.Sprintf("%v: revision %d: %v", ErrNotVisible, e.Revision, e.Err)
}

// Unwrap returns [ErrNotVisible] and e.Err.
func (e *NotVisibleError) Unwrap() []error { return []error{ErrNotVisible, e.Err} }

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Errors to test for with [errors.Is]. The errors of etcd, of gRPC and of the context are found
// behind them in the same way: rpctypes.ErrNoSpace, [context.DeadlineExceeded].
var (
	// ErrConflict is given by an Update whose tries have all met a write of another caller:
	// 32 of them, or fewer if ctx has ended. Nothing was written.
	ErrConflict = errors.New("conflict with other writers")

	// ErrUnknown is given for a write that the cluster may have applied, or may still apply,
	// or not: the connection broke, or no answer came in time.
	ErrUnknown = errors.New("outcome unknown")

	// ErrUnavailable is given when the cluster cannot be reached, has no leader, or does not
	// answer a read in time. A write that gives this error was not applied and will not be.
	ErrUnavailable = errors.New("cluster unavailable")

	// ErrNotVisible is in every [*NotVisibleError].
	ErrNotVisible = errors.New("acknowledged, but not visible here in time")

	// ErrTooLarge is given for a request beyond a limit of the cluster. Unless the cluster is
	// set otherwise, the limits are 1.5 MiB, and 128 operations or comparisons of a
	// transaction. Nothing was written.
	ErrTooLarge = errors.New("request too large")

	// ErrQuota is given when the database of the cluster has reached its quota. The error of a
	// Set is ErrUnknown, too: the cluster applies the write that passes the quota, and gives
	// the same answer as for those that it refuses. ErrQuota without ErrUnknown says that
	// nothing was written: an Update gives it, and a SetWithTTL that gets no lease.
	ErrQuota = errors.New("cluster out of space")

	// ErrClosed is given for calls of the cluster after a Close, and for those that a Close
	// has ended.
	ErrClosed = errors.New("store is closed")

	// ErrNotReplica is given by [Open] for a file with other contents than a replica of the
	// prefix.
	ErrNotReplica = errors.New("file is not a replica of this prefix")
)

// A NotVisibleError reports a write that did happen: the quorum has acknowledged it, at
// Revision. But this replica did not reach Revision in time, or its connection broke and it cannot
// tell whether the cluster is still of the same history. Get sees the write once [Store.Revision] is
// at least Revision, if it is. A cluster that was restored from an older backup, or another cluster,
// may be without the write.
type NotVisibleError struct {
	Revision int64
	Err      error // why the wait ended: an error of the context, ErrClosed, or one whose text tells
}

// Error names the revision and the reason.
func (e *NotVisibleError) Error() string {
	return fmt.Sprintf("%v: revision %d: %v", ErrNotVisible, e.Revision, e.Err)
}

// Unwrap returns [ErrNotVisible] and e.Err.
func (e *NotVisibleError) Unwrap() []error { return []error{ErrNotVisible, e.Err} }

// A ruling is what an error of the cluster says about the request that it answers.
type ruling struct {
	kind    error // one of the sentinels, or nil for an error that speaks for itself
	refused bool  // the request was not carried out and will not be
	again   bool  // the next moment may be better
}

// rule tells refused from unknown. Where in doubt the outcome is unknown. The rules follow the
// server's code, version 3.7.3:
//
//   - A server without a leader refuses a request that requires one before it looks at the
//     request, and a server with too many requests refuses before it proposes.
//   - "Too large" has two forms: the server's own, and that of gRPC on either side, which is
//     ResourceExhausted and says "larger than max". A gateway has other reasons for that code.
//   - A server that finds its quota passed as it applies a write applies it and gives NoSpace
//     (etcdserver/apply/quota.go). It gives NoSpace for writes that it refuses, too.
//   - The server gives InvalidArgument, FailedPrecondition, PermissionDenied and their like
//     before the proposal, or as the result of one that has changed nothing.
//   - Unavailable is the code of a broken connection, of a server that stops and of a proposal
//     that was sent and not confirmed: unknown. So are all codes that are not named here.
func rule(err error) ruling {
	switch code := codeOf(err); {
	case errors.Is(err, errUnsent):
		return ruling{kind: ErrUnavailable, refused: true, again: true}
	case errors.Is(err, rpctypes.ErrNoSpace):
		return ruling{kind: ErrQuota}
	case errors.Is(err, rpctypes.ErrNoLeader), errors.Is(err, rpctypes.ErrTooManyRequests):
		return ruling{kind: ErrUnavailable, refused: true, again: true}
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps),
		code == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max"):
		return ruling{kind: ErrTooLarge, refused: true}
	case isRefusal(code):
		return ruling{refused: true}
	}
	return ruling{kind: ErrUnknown}
}

func isRefusal(code codes.Code) bool {
	switch code {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.Unauthenticated, codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented,
		codes.DataLoss:
		return true
	}
	return false
}

// codeOf returns the gRPC code of an error, also of an error that the client of etcd has
// translated.
func codeOf(err error) codes.Code {
	var translated rpctypes.EtcdError
	if errors.As(err, &translated) {
		return translated.Code()
	}
	return status.Code(err)
}

// ofWrite returns the error of a write that a request has given.
func ofWrite(err error) error {
	r := rule(err)
	if r.kind == ErrQuota {
		err = marked(ErrUnknown, err)
	}
	return marked(r.kind, err)
}

// ofRead returns the error of a request that changes nothing. No outcome is unknown then.
func ofRead(err error) error {
	kind := rule(err).kind
	if kind == ErrUnknown {
		kind = ErrUnavailable
	}
	return marked(kind, err)
}

// marked puts a sentinel before err, unless err has it.
func marked(kind, err error) error {
	if kind == nil || err == nil || errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// reasonOf returns why ctx has ended. The cause of a caller's context can be any error: errgroup
// gives the first error of its group, which may be that of another write. Such a cause says nothing
// about this request, so errors.Is must not find it. Its text is kept.
func reasonOf(ctx context.Context) error {
	err := ctx.Err()
	switch cause := context.Cause(ctx); {
	case err == nil: // ctx has not ended
		return nil
	case cause == err, cause == errTimeout, cause == ErrClosed, cause == errCut:
		return cause
	default:
		return fmt.Errorf("%w: %v", err, cause)
	}
}

// joined returns an error with all of errs that are not nil, on one line.
func joined(errs ...error) error {
	var format []string
	var args []any
	for _, err := range errs {
		if err != nil {
			format, args = append(format, "%w"), append(args, err)
		}
	}
	return fmt.Errorf(strings.Join(format, ": "), args...)
}

// ended returns err, or the reason for the end of ctx if that is what err reports. The client of
// etcd reports every end of a context as Canceled or DeadlineExceeded.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, errUnsent) {
		return err
	}
	switch codeOf(err) {
	case codes.Canceled, codes.DeadlineExceeded:
		return reasonOf(ctx)
	}
	if errors.Is(err, ctx.Err()) {
		return reasonOf(ctx)
	}
	return err
}

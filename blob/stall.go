package blob

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stallLimit is how long a transfer may make no progress that can be seen at once: all but an upload.
const stallLimit = 5 * time.Minute

// slowest is the rate of the slowest line, in bytes a second, on which a part of an upload is sent in time.
const slowest = 64 << 10

// uploadLimit is stallLimit for an upload. Its driver takes bytes into its buffers, and then none until a
// whole part has been sent. So the limit is the time for all parts that it may hold.
func (c *Copies) uploadLimit() time.Duration {
	held := (concurrency + 1) * time.Duration(c.partSize)
	return max(stallLimit, held/slowest*time.Second)
}

// A watch cancels the context of a transfer that makes no progress. Without it a connection
// that was cut without a word would hold a copy, and with it a view of the store, for ever.
type watch struct {
	limit  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// watched returns a context that is cancelled, with ErrStalled in the cause, if moved is not
// called for as long as limit. The caller must call stop.
func watched(ctx context.Context, limit time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w for %v", ErrStalled, limit)) })
	return ctx, &watch{limit, timer, cancel}
}

// moved says that the transfer goes on.
func (w *watch) moved() { w.timer.Reset(w.limit) }

// stop ends the context and the watch.
func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// failed returns the error of a transfer, with the reason for which the context has ended, if
// that is what made it fail.
func (w *watch) failed(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return errors.Join(cause, named(err))
	}
	return named(err)
}

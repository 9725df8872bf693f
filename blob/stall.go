package blob

import (
	"context"
	"errors"
	"time"
)

// stallLimit is longer than two parts take on a line of a megabit a second.
const stallLimit = 5 * time.Minute

// A watch cancels the context of a transfer that makes no progress. Without it a connection
// that was cut without a word would hold a copy, and with it a view of the store, for ever.
type watch struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// watched returns a context that is cancelled, with ErrStalled as the cause, if moved is not
// called for as long as stallLimit. The caller must call stop.
func watched(ctx context.Context) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watch{time.AfterFunc(stallLimit, func() { cancel(ErrStalled) }), cancel}
}

// moved says that the transfer goes on.
func (w *watch) moved() { w.timer.Reset(stallLimit) }

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

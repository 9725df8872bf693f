package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/windevkay/forge/genie"
)

// withSignals returns a context that ends with the first signal. A second signal ends the process
// at once, as some work does not look at the context: to write a large file takes seconds.
func withSignals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// read returns a store with the entries that a file has now. It does not wait for a large file when
// ctx ends.
func read(ctx context.Context, file string) (*genie.Store, error) {
	return unlessEnded(ctx, func() (*genie.Store, error) {
		return genie.NewStore(genie.WithPath(file), genie.WithReadOnly())
	})
}

// unlessEnded returns what work returns, or the error of ctx if ctx ends first. Then work goes on
// until the process ends, so it must be work that changes nothing.
func unlessEnded[T any](ctx context.Context, work func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1) // work ends, too, if its result is not received
	go func() {
		value, err := work()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// shutdownTime is how long a stopping service answers requests that have
	// begun before the stop.
	shutdownTime = 5 * time.Second

	// headerTime bounds the wait for a request's header. The bound must be
	// shorter than shutdownTime: Shutdown waits for a new connection without a
	// request, such as a browser opens in advance, as if for a request.
	headerTime = 3 * time.Second
)

// serveHTTP answers requests until ctx is done or listener fails. Requests in
// progress are then answered; those that exceed shutdownTime are cut off, which is
// an error. serveHTTP closes listener, and returns after every handler has.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	var connections sync.WaitGroup
	server := httpServer(handler, log)
	server.ConnState = countIn(&connections)
	served := make(chan error)
	go func() { served <- server.Serve(listener); close(served) }()

	var failure error
	select {
	case failure = <-served:
	case <-ctx.Done():
		log.Info("stopping", "address", listener.Addr().String())
	}
	err := errors.Join(failure, shutdown(ctx, server))
	<-served // receives http.ErrServerClosed, or nothing if Serve failed before
	connections.Wait()
	return err
}

func httpServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}
}

// countIn keeps the number of open connections in connections. Close of a server
// does not wait for handlers, and a late handler would change the store after the
// last backup. Serve reports a new connection before it accepts the next, so no
// connection is added after Serve has returned.
func countIn(connections *sync.WaitGroup) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			connections.Done()
		}
	}
}

// shutdown waits for the requests in progress, at most shutdownTime, and closes
// the connections of the rest. A handler of this service ends when its connection
// is closed.
func shutdown(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return fmt.Errorf("requests cut off: %w", errors.Join(err, server.Close()))
	}
	return nil
}

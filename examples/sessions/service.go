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

	"github.com/windevkay/forge/genie"
)

const (
	// sweepInterval is how long an expired session may still be counted.
	sweepInterval = time.Minute

	// shutdownTime is for the requests that are being answered when the service
	// is told to stop.
	shutdownTime = 5 * time.Second
)

// run serves until ctx is done, or until it cannot.
func run(ctx context.Context, s settings, log *slog.Logger) error {
	// The address first: where the service runs already this fails, and must not
	// have taken the sessions from the file.
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	return serve(ctx, listener, s, log)
}

// serve is run from the moment that clients can connect. It closes listener and
// leaves no goroutine behind.
func serve(ctx context.Context, listener net.Listener, s settings, log *slog.Logger) error {
	store, err := genie.NewStore(genie.WithPath(s.backup))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	log.Info("sessions loaded", "count", store.Len(), "backup", s.backup)
	log.Info("listening", "url", "http://"+listener.Addr().String())
	live := sessions{store, s.lifetime}

	var background sync.WaitGroup
	background.Go(func() { logFailures(store.AutoBackupErrors(), log) })
	store.StartAutoBackup(s.every)
	sweeping, stopSweeping := context.WithCancel(ctx)
	background.Go(func() { sweepEvery(sweeping, sweepInterval, live, log) })

	err = serveHTTP(ctx, listener, newHandler(live, log), log)

	// Everybody who writes has finished; Close saves all of it. It also ends the
	// automatic backups, and with them logFailures.
	stopSweeping()
	err = errors.Join(err, store.Close())
	background.Wait()
	return err
}

// logFailures logs what went wrong with automatic backups. Each of them tries it
// all again, so nothing is lost yet.
func logFailures(failures <-chan error, log *slog.Logger) {
	for err := range failures {
		log.Warn("automatic backup", "error", err)
	}
}

func sweepEvery(ctx context.Context, interval time.Duration, live sessions, log *slog.Logger) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if removed := live.sweep(); removed > 0 {
				log.Info("sessions expired", "count", removed)
			}
		}
	}
}

// serveHTTP returns when no request is being answered any more, or when those
// that are have had their time.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := server.Shutdown(deadline)
	if err != nil {
		err = fmt.Errorf("requests cut off: %w", errors.Join(err, server.Close()))
	}
	<-served // with http.ErrServerClosed, as ordered
	return err
}

package main

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/windevkay/forge/genie"
)

// sweepInterval is how long an expired session may still be counted.
const sweepInterval = time.Minute

// run serves the sessions until ctx is done or until the service fails. When run
// returns, the sessions are saved, unless the error says otherwise, and every
// goroutine of the service has ended.
//
// The backup file comes first and the address second, because a service that
// stops gives up its address before its file. Its successor, once the file is
// open, finds the address free. The other order would fail where both services
// have one address, and elsewhere would let clients connect to a service that
// cannot answer yet.
func run(ctx context.Context, s settings, log *slog.Logger) error {
	return withStore(ctx, s, log, func(store *genie.Store) error {
		log.Info("sessions loaded", "count", store.Len(), "backup", s.backup)
		listener, err := net.Listen("tcp", s.listen)
		if err != nil {
			return err
		}
		log.Info("listening", "url", "http://"+listener.Addr().String())
		return serve(ctx, listener, sessions{store, s.lifetime}, log)
	})
}

// serve answers requests and sweeps until ctx is done or listener fails. serve
// closes listener. After its return the service neither reads nor writes the
// store.
func serve(ctx context.Context, listener net.Listener, live sessions, log *slog.Logger) error {
	sweeping, stopSweeping := context.WithCancel(ctx)
	var sweeper sync.WaitGroup
	sweeper.Go(func() { sweepEvery(sweeping, sweepInterval, live, log) })
	defer sweeper.Wait()
	defer stopSweeping()
	return serveHTTP(ctx, listener, newHandler(live, log), log)
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

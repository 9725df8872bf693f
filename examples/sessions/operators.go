package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/windevkay/forge/genie"
)

const (
	pagePath    = "/debug/genie"
	metricsPath = "/metrics"
)

// serveOperators answers operators on listener until ctx is done or listener fails, and
// samples the store meanwhile. serveOperators closes listener, and leaves no goroutine.
func serveOperators(ctx context.Context, listener net.Listener, store *genie.Store, log *slog.Logger) error {
	sampling, stop := context.WithCancel(ctx)
	past := newHistory()
	var sampler sync.WaitGroup
	sampler.Go(func() { past.follow(sampling, store.Stats) })
	defer sampler.Wait()
	defer stop()
	return serveHTTP(ctx, listener, newOperatorsHandler(store.Stats, past, log), log)
}

// newOperatorsHandler returns the handler of the operators' address.
//
// The answers are for operators, and must not be public: they name files, show the
// operating system's errors, and tell how much the service is used. So the handler
// has an address of its own, as programs with net/http/pprof do. No answer has a key
// or a value of the store.
func newOperatorsHandler(stats func() genie.Stats, past *history, log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry() // the default registry is shared by all that a program imports
	registry.MustRegister(collector{stats})
	mux := http.NewServeMux()
	mux.Handle("GET "+pagePath, pageHandler{stats, past, log})
	mux.Handle("GET "+metricsPath, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}))
	return mux
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/windevkay/forge/genie"
)

// run serves the sessions until ctx is done or until the service fails. When run
// returns, the sessions are saved, unless the error says otherwise, and every
// goroutine of the service has ended.
//
// The backup file comes first and the addresses second, because a service that
// stops gives up its addresses before its file. Its successor, once the file is
// open, finds the addresses free. The other order would fail where both services
// have one address, and elsewhere would let clients connect to a service that
// cannot answer yet.
func run(ctx context.Context, s settings, log *slog.Logger) error {
	return withStore(ctx, s, log, func(store *genie.Store) error {
		on, err := listen(s)
		if err != nil {
			return err
		}
		if on.operators != nil {
			log.Info("for operators only", "url", "http://"+on.operators.Addr().String()+pagePath)
		}
		log.Info("listening", "url", "http://"+on.public.Addr().String())
		return serve(ctx, on, sessions{store, s.lifetime}, log)
	})
}

// listeners are the two addresses of the service. The operators' address is one of its
// own, so that a firewall, or a loopback address, keeps the public away from it.
type listeners struct {
	public    net.Listener
	operators net.Listener // nil for none
}

func listen(s settings) (on listeners, err error) {
	if on.public, err = net.Listen("tcp", s.listen); err != nil || s.debug == "" {
		return on, err
	}
	if on.operators, err = net.Listen("tcp", s.debug); err != nil {
		return on, errors.Join(err, on.public.Close())
	}
	return on, nil
}

// serve answers requests on both addresses until ctx is done or a listener fails.
// serve closes the listeners. After its return the service neither reads nor writes
// the store.
func serve(ctx context.Context, on listeners, live sessions, log *slog.Logger) error {
	public := newHandler(live, log)
	if on.operators == nil {
		return serveHTTP(ctx, on.public, public, log)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	operators := make(chan error)
	go func() {
		err := serveOperators(ctx, on.operators, live.store, log)
		stop() // both end if one fails
		operators <- err
	}()
	err := serveHTTP(ctx, on.public, public, log)
	stop()
	return errors.Join(err, <-operators)
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/windevkay/forge/genie/etcd"
)

// answerTime is how long one request to the cluster may take before it is tried at another server.
const answerTime = 2 * time.Second

// A session is what the service keeps about a visitor, as JSON, under "session/" and the
// visitor's name.
type session struct {
	Pages   int    // that the visitor has seen
	Request string // the newest request that is counted in Pages
}

// errNoSession is given for a visitor who is not logged in.
var errNoSession = errors.New("no session")

func key(visitor string) string { return "session/" + visitor }

// logIn begins a session.
func logIn(ctx context.Context, store *etcd.Store, visitor string) error {
	text, err := json.Marshal(session{})
	if err != nil {
		return err
	}
	return store.Set(ctx, key(visitor), string(text))
}

// find returns the session of a visitor as this replica has it, without asking the cluster.
func find(store *etcd.Store, visitor string) (s session, err error) {
	text, ok := store.Get(key(visitor))
	if !ok {
		return s, fmt.Errorf("%s: %w", visitor, errNoSession)
	}
	return s, json.Unmarshal([]byte(text), &s)
}

// visit counts one request of a visitor, and returns the session with it. It returns an error
// only at the end of ctx.
//
// A replica may be behind the replica at which the visitor was before. Where a session is missing,
// a Sync tells whether it is missing everywhere. Where it is only old, Update sees that itself.
//
// When a server fails, the outcome of a try may be unknown. Each request has a name of its own, so
// that the next try can see whether the request was counted already: no request is counted twice.
func visit(ctx context.Context, store *etcd.Store, visitor, request string) (s session, unknown int, err error) {
	for synced := false; ; {
		err = store.Update(ctx, func(tx *etcd.Tx) (err error) {
			s, err = count(tx, visitor, request)
			return err
		})
		switch {
		case err == nil:
			return s, unknown, nil
		case ctx.Err() != nil:
			return s, unknown, ctx.Err()
		case errors.Is(err, etcd.ErrUnknown):
			unknown++
		case errors.Is(err, errNoSession) && !synced:
			synced = store.Sync(ctx) == nil
		case errors.Is(err, etcd.ErrUnavailable), errors.Is(err, etcd.ErrConflict):
			// Nothing was written.
		default:
			return s, unknown, err
		}
	}
}

// count counts the request in the session of the visitor, unless it is counted already.
func count(tx *etcd.Tx, visitor, request string) (s session, err error) {
	text, ok := tx.Get(key(visitor))
	if !ok {
		return s, fmt.Errorf("%s: %w", visitor, errNoSession)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil || s.Request == request {
		return s, err
	}
	s.Pages, s.Request = s.Pages+1, request
	changed, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	tx.Set(key(visitor), string(changed))
	return s, nil
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/windevkay/forge/genie"
)

const (
	// handOverTime is how long a service waits for the backup file. The previous
	// service needs up to shutdownTime for its last requests, and then saves.
	handOverTime = 3 * shutdownTime

	// retryInterval separates two attempts to open the backup file.
	retryInterval = 100 * time.Millisecond
)

// withStore opens the store, calls use while automatic backups run, and saves the
// store after use has returned, with or without an error. The error of withStore
// joins the errors of use and of the last backup. If the store cannot be opened,
// use is not called.
//
// The store logs a backup that fails, and Stats tells of it, so withStore does not
// read AutoBackupErrors. A failed backup loses nothing by itself: the next backup
// writes all sessions again.
func withStore(ctx context.Context, s settings, log *slog.Logger, use func(*genie.Store) error) error {
	store, err := openStore(ctx, s.backup, log)
	if err != nil {
		return err
	}
	store.StartAutoBackup(s.every)
	err = use(store)
	return errors.Join(err, store.Close()) // Close stops the automatic backups too
}

// openStore loads the sessions from the backup file at path. While another
// process uses the file, openStore waits until ctx is done, at most handOverTime.
func openStore(ctx context.Context, path string, log *slog.Logger) (*genie.Store, error) {
	return retryInUse(ctx, log, func() (*genie.Store, error) {
		// NewStore fails at once: the loop waits, since the loop ends with ctx.
		return genie.NewStore(genie.WithPath(path), genie.WithLockTimeout(0), genie.WithJournal(), genie.WithLogger(log))
	})
}

// retryInUse calls open until the error is not genie.ErrInUse.
func retryInUse(ctx context.Context, log *slog.Logger, open func() (*genie.Store, error)) (*genie.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	for waiting := false; ; waiting = true {
		store, err := open()
		if !errors.Is(err, genie.ErrInUse) {
			return store, err
		}
		if !waiting {
			log.Info("waiting for the backup file", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(retryInterval):
		}
	}
}

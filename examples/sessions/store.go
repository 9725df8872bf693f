package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
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
func withStore(ctx context.Context, s settings, log *slog.Logger, use func(*genie.Store) error) error {
	store, err := openStore(ctx, s.backup, log)
	if err != nil {
		return err
	}
	// The channel belongs to the backups that start next. A goroutine that asked
	// for the channel could come too late, after Close, and then wait forever.
	failures := store.AutoBackupErrors()
	store.StartAutoBackup(s.every)
	var logger sync.WaitGroup
	logger.Go(func() { logFailures(failures, log) })

	err = use(store)

	// Close stops the automatic backups too, which ends logFailures.
	err = errors.Join(err, store.Close())
	logger.Wait()
	return err
}

// openStore loads the sessions from the backup file at path. While another
// process uses the file, openStore waits until ctx is done, at most handOverTime.
func openStore(ctx context.Context, path string, log *slog.Logger) (*genie.Store, error) {
	return retryInUse(ctx, log, func() (*genie.Store, error) {
		// NewStore fails at once: the loop waits, since the loop ends with ctx.
		return genie.NewStore(genie.WithPath(path), genie.WithLockTimeout(0), genie.WithJournal())
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

// logFailures logs the errors of automatic backups until failures is closed. A
// failed backup loses nothing by itself: the next backup writes all sessions
// again. A crash before the next success would lose the changes since the last.
func logFailures(failures <-chan error, log *slog.Logger) {
	for err := range failures {
		log.Warn("automatic backup", "error", err)
	}
}

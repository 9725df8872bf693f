package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/windevkay/forge/genie"
)

// backupInterval is short, since a run is: one that is killed loses no more than
// this of what it has found.
const backupInterval = time.Second

// look is one run: load what the last one knew, compare, tell, save.
func look(ctx context.Context, s settings, out io.Writer, status *console) error {
	store, err := genie.NewStore(genie.WithPath(s.backup))
	if err != nil {
		return err
	}
	stop := backUp(store, status)
	err = compare(ctx, s, ledger{store}, out, status)
	stop()
	// Loading has emptied the file. Whatever went wrong since, Close puts back
	// what is known, with the news.
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	return describeBackup(out, s.backup, store)
}

// backUp starts automatic backups and returns what stops them. Their errors are
// only warnings: each backup tries it all again, and Close returns the error of
// the last one.
func backUp(store *genie.Store, status *console) (stop func()) {
	failures := store.AutoBackupErrors()
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		for err := range failures {
			status.println("warning: " + err.Error())
		}
	}()
	store.StartAutoBackup(backupInterval)
	return func() {
		store.StopAutoBackup() // which closes failures
		<-printed
	}
}

// compare walks the folder, reports, and notes that it was reported.
func compare(ctx context.Context, s settings, l ledger, out io.Writer, status *console) error {
	own, err := newBackupFiles(s.backup)
	if err != nil {
		return err
	}
	start := time.Now()
	w := newWalk(s.folder, own, l)
	stop := status.follow(w.progress)
	err = w.run(ctx)
	stop()
	if err != nil {
		return err
	}
	interrupted := ctx.Err() != nil
	if !interrupted { // or else files that were not reached would seem gone
		l.recordGone(w.mayExist)
	}
	n := l.news()
	r := report{walk: w, news: n, took: time.Since(start), interrupted: interrupted, all: s.all}
	if err := r.write(out); err != nil {
		return err // it may not have been read: the next run reports it again
	}
	l.settle(n, start)
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/windevkay/forge/genie"
)

// A tour shows how a store behaves, one stop after the other, and checks each.
type tour struct {
	out    io.Writer
	folder string   // with the files
	files  []string // in folder
	path   string   // of the backup file

	shown time.Time // when the last line of progress was printed
}

func (t *tour) walk(ctx context.Context) error {
	for _, stop := range []func(context.Context) error{t.count, t.compare, t.pauses, t.failedBackup} {
		if err := stop(ctx); err != nil {
			return err
		}
		t.say("")
	}
	return nil
}

func (t *tour) say(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

// count has the words counted by a worker that is killed on the way and by another
// one that goes on from the last backup.
func (t *tour) count(ctx context.Context) error {
	t.say("Counting the words of %d files in %s: %d goroutines, one store,", len(t.files), t.folder, counters)
	t.say("backed up every %v.", interval)
	t.shown = time.Now()
	counted, err := t.countAndKill(ctx)
	if err != nil {
		return err
	}
	kept, err := t.counted()
	if err != nil {
		return err
	}
	t.say("Killed the worker (SIGKILL) when it had counted %d files.", counted)
	t.say("Started it again: %d files are in the last backup, %d are counted again.", kept, counted-kept)
	return t.countTheRest(ctx, kept)
}

// countAndKill returns how many files a worker has counted that is killed after two
// files in five.
func (t *tour) countAndKill(ctx context.Context) (counted int, err error) {
	worker, err := start(ctx, t.path, t.folder, os.Stderr)
	if err != nil {
		return 0, err
	}
	defer worker.end()
	counted = len(t.files) * 2 / 5
	if err := t.follow(worker, 0, counted); err != nil {
		return 0, err
	}
	more, err := worker.kill()
	return counted + more, err
}

// countTheRest has a worker count all files but the first kept.
func (t *tour) countTheRest(ctx context.Context, kept int) error {
	worker, err := start(ctx, t.path, t.folder, os.Stderr)
	if err != nil {
		return err
	}
	defer worker.end()
	half := (kept + len(t.files)) / 2
	if err := t.follow(worker, kept, half); err != nil {
		return err
	}
	if err := t.visit(ctx); err != nil {
		return err
	}
	if err := t.follow(worker, half, len(t.files)); err != nil {
		return err
	}
	return worker.finish()
}

// follow reads what the worker counts, from the count from to the count to, and
// shows the progress once a second.
func (t *tour) follow(worker *process, from, to int) error {
	for n := from; n < to; n++ {
		if _, err := worker.next(); err != nil {
			return err
		}
		if time.Since(t.shown) >= time.Second {
			t.say("  %d of %d", n+1, len(t.files))
			t.shown = time.Now()
		}
	}
	return nil
}

// visit looks at the file while a worker owns it.
func (t *tour) visit(ctx context.Context) error {
	message, err := refused(ctx, t.path, t.folder)
	if err != nil {
		return err
	}
	t.say("Started a second worker on the same file, and it failed:")
	t.say("  %s", message)
	counted, err := t.counted()
	if err != nil {
		return err
	}
	t.say("Read the newest backup beside the worker: %d files.", counted)
	return nil
}

// counted returns how many files the newest backup has. If the folder is so small
// that the worker is killed within the first interval, no backup exists.
func (t *tour) counted() (n int, err error) {
	store, err := genie.NewStore(genie.WithPath(t.path), genie.WithReadOnly())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for key := range store.All() {
		if strings.HasPrefix(key, file) {
			n++
		}
	}
	return n, nil
}

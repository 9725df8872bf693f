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
// one that goes on.
func (t *tour) count(ctx context.Context) error {
	t.say("Counting the words of %d files in %s: %d goroutines, one store,", len(t.files), t.folder, counters)
	t.say("backed up every %v, and a Sync after each file.", interval)
	t.shown = time.Now()
	counted, err := t.countAndKill(ctx)
	if err != nil {
		return err
	}
	kept, err := t.counted()
	if err != nil {
		return err
	}
	again := 0
	for _, name := range counted {
		if !kept[name] {
			again++
		}
	}
	t.say("Killed the worker (SIGKILL) when it had counted and synced %d files.", len(counted))
	t.say("Started it again: %d files are in its file, so %d are missing, %d of the synced ones among them.",
		len(kept), len(t.files)-len(kept), again)
	if again > 0 {
		return errors.New("files are lost that a Sync had acknowledged")
	}
	return t.countTheRest(ctx, len(kept))
}

// countAndKill returns the files that a worker has counted which is killed after two
// files in five.
func (t *tour) countAndKill(ctx context.Context) (counted []string, err error) {
	worker, err := start(ctx, t.path, t.folder, os.Stderr)
	if err != nil {
		return nil, err
	}
	defer worker.end()
	if err := worker.owning(); err != nil {
		return nil, err
	}
	if counted, err = t.follow(worker, 0, len(t.files)*2/5); err != nil {
		return nil, err
	}
	more, err := worker.kill()
	return append(counted, more...), err
}

// countTheRest has a worker count all files but the first kept.
func (t *tour) countTheRest(ctx context.Context, kept int) error {
	worker, err := start(ctx, t.path, t.folder, os.Stderr)
	if err != nil {
		return err
	}
	defer worker.end()
	if err := worker.owning(); err != nil {
		return err
	}
	half := (kept + len(t.files)) / 2
	if _, err := t.follow(worker, kept, half); err != nil {
		return err
	}
	if err := t.visit(ctx); err != nil {
		return err
	}
	if _, err := t.follow(worker, half, len(t.files)); err != nil {
		return err
	}
	return worker.finish()
}

// follow reads which files the worker counts, from the number from to the number to,
// and shows the progress once a second.
func (t *tour) follow(worker *process, from, to int) (counted []string, err error) {
	for n := from; n < to; n++ {
		name, err := worker.next()
		if err != nil {
			return nil, err
		}
		if name == "" {
			return nil, fmt.Errorf("the worker has counted %d files, not %d: the folder has changed", n, len(t.files))
		}
		counted = append(counted, name)
		if time.Since(t.shown) >= time.Second {
			t.say("  %d of %d", n+1, len(t.files))
			t.shown = time.Now()
		}
	}
	return counted, nil
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
	t.say("Read its file beside the worker: %d files.", len(counted))
	return nil
}

// counted returns the files that the worker's file has. If the worker is killed before
// its first backup, no file exists.
func (t *tour) counted() (names map[string]bool, err error) {
	store, err := genie.NewStore(genie.WithPath(t.path), genie.WithReadOnly())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names = map[string]bool{}
	for key := range store.All() {
		if name, ok := strings.CutPrefix(key, file); ok {
			names[name] = true
		}
	}
	return names, nil
}

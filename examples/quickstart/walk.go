package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
)

// A walk goes through a folder once. One goroutine lists the files, several read
// them and record what they find.
type walk struct {
	folder string
	own    backupFiles
	ledger ledger

	files, bytes atomic.Int64 // read so far

	// listed is owned by the goroutine that lists; afterwards by everybody.
	listed map[string]bool

	mu         sync.Mutex       // guards unreadable
	unreadable map[string]error // files, and folders whose files are unknown
}

func newWalk(folder string, own backupFiles, l ledger) *walk {
	return &walk{
		folder: folder, own: own, ledger: l,
		listed: map[string]bool{}, unreadable: map[string]error{},
	}
}

// run returns early, but without an error, when ctx is done.
func (w *walk) run(ctx context.Context) error {
	names := make(chan string) // no capacity: to list ahead gains nothing
	var readers sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) { // while one waits for the disk, one hashes
		readers.Go(func() { w.read(ctx, names) })
	}
	err := w.list(ctx, names)
	close(names)
	readers.Wait()
	return err
}

// list sends the paths of all regular files, relative to the folder.
func (w *walk) list(ctx context.Context, names chan<- string) error {
	return filepath.WalkDir(w.folder, func(file string, entry fs.DirEntry, err error) error {
		name := w.name(file)
		switch {
		case err != nil && name == ".":
			return err
		case err != nil:
			w.skip(name, err)
			return nil
		case !entry.Type().IsRegular() || w.own.include(file):
			return nil // WalkDir does not follow symbolic links, and neither do we
		}
		select {
		case names <- name:
			w.listed[name] = true
			return nil
		case <-ctx.Done():
			return fs.SkipAll
		}
	})
}

func (w *walk) name(file string) string {
	name, err := filepath.Rel(w.folder, file)
	if err != nil {
		panic(err) // WalkDir joins names to the folder
	}
	return filepath.ToSlash(name)
}

// skip leaves out what cannot be read. What was deleted since it was listed is
// nothing to complain of: the next run will miss it.
func (w *walk) skip(name string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unreadable[name] = cause(err)
}

// cause leaves out the path, which the report gives in its own way.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// read records the files that list sends.
func (w *walk) read(ctx context.Context, names <-chan string) {
	buf := make([]byte, 256<<10)
	for name := range names {
		hash, err := w.hash(ctx, name, buf)
		switch {
		case err == nil:
			w.files.Add(1)
			w.ledger.record(name, hash)
		case ctx.Err() == nil:
			w.skip(name, err)
		}
	}
}

func (w *walk) hash(ctx context.Context, name string, buf []byte) (string, error) {
	f, err := os.Open(filepath.Join(w.folder, filepath.FromSlash(name)))
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, &meter{ctx, f, &w.bytes}, buf); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// A meter counts what is read, and stops in the middle of a large file.
type meter struct {
	ctx   context.Context
	from  io.Reader
	total *atomic.Int64
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.from.Read(p)
	m.total.Add(int64(n))
	return n, err
}

// mayExist reports whether a file was listed, or is below a folder that could
// not be. It is for when run has returned.
func (w *walk) mayExist(name string) bool {
	if w.listed[name] {
		return true
	}
	for ; name != "."; name = path.Dir(name) {
		if w.unreadable[name] != nil {
			return true
		}
	}
	return false
}

// progress says how far run is.
func (w *walk) progress() string {
	return fmt.Sprintf("reading: %s, %s", files(w.files.Load()), size(w.bytes.Load()))
}

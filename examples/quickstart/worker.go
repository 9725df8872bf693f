package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/windevkay/forge/genie"
)

const (
	counters = 64 // goroutines; those that wait for a Sync share one fsync
	interval = 100 * time.Millisecond

	// The keys of the store. A key file+name says that the words of that file have
	// been counted.
	file = "file:"
	word = "word:"
)

// work is the worker. It counts the words of every file in folder that the store at
// path does not have yet, and prints the name of a file once its words are on the
// disk. It prints an empty name when it owns the file and when it has counted all. It may
// be killed at any moment. When its input ends, it closes the store.
func work(path, folder string, in io.Reader, out io.Writer) (err error) {
	store, err := genie.NewStore(genie.WithPath(path), genie.WithLockTimeout(0), genie.WithJournal())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }() // writes a last backup
	store.StartAutoBackup(interval)
	go func() { // until Close
		for err := range store.AutoBackupErrors() {
			fmt.Fprintln(os.Stderr, "worker:", err)
		}
	}()
	fmt.Fprintf(out, "%q\n", "")
	missing, err := uncounted(store, folder)
	if err != nil {
		return err
	}
	if err := countAll(store, folder, missing, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "%q\n", "")
	_, err = io.Copy(io.Discard, in)
	return err
}

// uncounted returns the files that the store does not have.
func uncounted(store *genie.Store, folder string) (missing []string, err error) {
	files, err := list(folder)
	if err != nil {
		return nil, err
	}
	err = store.View(func(v *genie.View) error {
		for _, name := range files {
			if _, counted := v.Get(file + name); !counted {
				missing = append(missing, name)
			}
		}
		return nil
	})
	return missing, err
}

// countAll counts the files with several goroutines, which share one store and no
// lock. They share out, too: an os.File keeps each line whole.
func countAll(store *genie.Store, folder string, files []string, out io.Writer) error {
	todo := make(chan string, len(files)) // has room for all: no goroutine waits to send
	for _, name := range files {
		todo <- name
	}
	close(todo)
	var group sync.WaitGroup
	errs := make([]error, counters)
	for i := range errs {
		group.Go(func() {
			for name := range todo {
				if errs[i] = count(store, folder, name, out); errs[i] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// count adds the words of one file in one Update. So the disk has all words of the
// file and the note that the file was counted, or nothing of both: a worker that is
// killed neither loses nor doubles a word. Sync returns when the disk has them. The
// goroutines that call it at once share one write and one fsync.
func count(store *genie.Store, folder, name string, out io.Writer) error {
	counts, err := words(folder, name)
	if err != nil {
		return err
	}
	err = store.Update(func(tx *genie.Tx) error {
		for w, n := range counts {
			if err := add(tx, word+w, n); err != nil {
				return err
			}
		}
		tx.Set(file+name, "counted")
		return nil
	})
	if err != nil {
		return err
	}
	if err := store.Sync(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%q\n", name)
	return err
}

// add adds n to the number that key has.
func add(tx *genie.Tx, key string, n int) error {
	value, exists := tx.Get(key)
	if exists {
		before, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		n += before
	}
	tx.Set(key, strconv.Itoa(n))
	return nil
}

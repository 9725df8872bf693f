package peer

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
)

// handWritten describes the backup of the stores without one of their own, written
// by hand as by a careful user.
const handWritten = "file synced, folder not"

// marshalTo encodes the entries in memory, as one JSON object, and replaces path.
func marshalTo(path string, entries map[string]string) error {
	return replaceFile(path, func(w io.Writer) error {
		text, err := json.Marshal(entries)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
}

// streamTo encodes entry after entry, into one JSON object, and replaces path.
func streamTo(path string, entries iter.Seq2[string, string]) error {
	return replaceFile(path, func(w io.Writer) error {
		buffered := bufio.NewWriterSize(w, 64<<10)
		if err := encodeObject(buffered, entries); err != nil {
			return err
		}
		return buffered.Flush()
	})
}

// encodeObject uses an Encoder because json.Marshal allocates for every string.
// The newline that Encode appends is white space in JSON.
func encodeObject(w *bufio.Writer, entries iter.Seq2[string, string]) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	separator := byte('{')
	for key, value := range entries {
		w.WriteByte(separator) // bufio keeps the first error, and Flush returns the error
		if err := encoder.Encode(key); err != nil {
			return err
		}
		w.WriteByte(':')
		if err := encoder.Encode(value); err != nil {
			return err
		}
		separator = ','
	}
	if separator == '{' {
		w.WriteByte('{')
	}
	return w.WriteByte('}')
}

// replaceFile writes a temporary file, syncs it and renames it to path.
func replaceFile(path string, write func(io.Writer) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".backup-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails after the rename, which has moved the file
	if err := writeAndClose(temp, write); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return os.Rename(temp.Name(), path)
}

func writeAndClose(f *os.File, write func(io.Writer) error) error {
	defer f.Close() // the second Close, after a success, is harmless
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// readJSON loads a file of marshalTo or streamTo.
func readJSON(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	entries := make(map[string]string)
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, err
	}
	return entries, nil
}

// loadJSON opens a store and fills it from a JSON backup.
func loadJSON(open func(Home) (*Store, error)) func(Home) (*Store, error) {
	return func(home Home) (*Store, error) {
		entries, err := readJSON(home.Backup())
		if err != nil {
			return nil, err
		}
		store, err := open(home)
		if err != nil {
			return nil, err
		}
		store.Populate(maps.All(entries))
		return store, nil
	}
}

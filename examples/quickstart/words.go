package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// list returns the names of the files in folder, from the folder down.
func list(folder string) (names []string, err error) {
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		names = append(names, name)
		return err
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("%s has no files", folder)
	}
	return names, err
}

// words counts the words of a file, which has none if it is not text.
func words(folder, name string) (map[string]int, error) {
	contents, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil || !utf8.Valid(contents) {
		return nil, err
	}
	counts := map[string]int{}
	for word := range strings.FieldsFuncSeq(string(contents), separates) {
		counts[word]++
	}
	return counts, nil
}

func separates(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

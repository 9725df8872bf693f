package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/windevkay/forge/genie"
)

// backupFiles are the backup file and what the store keeps beside it. They change
// with every run, which is no news.
type backupFiles struct{ dir, base string }

func newBackupFiles(backup string) (backupFiles, error) {
	if target, err := filepath.EvalSymlinks(backup); err == nil {
		backup = target // a store replaces what a link leads to, not the link
	}
	dir, err := resolve(filepath.Dir(backup))
	return backupFiles{dir, filepath.Base(backup)}, err
}

func (b backupFiles) include(file string) bool {
	if filepath.Dir(file) != b.dir {
		return false
	}
	name := filepath.Base(file)
	return name == b.base || name == b.base+".loaded" || name == b.base+".prev" || name == b.base+".lock" ||
		strings.HasPrefix(name, "."+b.base+".tmp-")
}

// describeBackup tells where the backup is and what is in it.
func describeBackup(out io.Writer, backup string, store *genie.Store) error {
	info, err := os.Stat(backup)
	if err != nil {
		return err
	}
	return store.View(func(v *genie.View) error {
		fmt.Fprintf(out, "\nbackup: %s\n", printable(backup))
		_, err := fmt.Fprintf(out, "    entries: %s, %s\n", grouped(v.Len()), size(info.Size()))
		for _, key := range firstKeys(v, 3) {
			value, _ := v.Get(key)
			_, err = fmt.Fprintf(out, "    %s = %s\n", printable(key), shortened(value))
		}
		return err
	})
}

// firstKeys returns the first n keys in their order, without sorting them all.
func firstKeys(v *genie.View, n int) []string {
	var first []string
	for key := range v.All() {
		at, _ := slices.BinarySearch(first, key)
		if at < n {
			first = slices.Insert(first, at, key)
			first = first[:min(n, len(first))]
		}
	}
	return first
}

package measure

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/windevkay/forge/genie/bench/peer"
)

// Ballast is the file that fills the disk; with it gone there is room again.
func Ballast(dir string) string { return filepath.Join(dir, "ballast") }

// saveOnce leaves a good backup of the old version behind.
func saveOnce(b bench) (Finding, error) {
	store, err := b.saveOld()
	if err != nil {
		return Finding{}, err
	}
	return Finding{}, store.Close()
}

// growth is how much larger the new version is: too large to fit where the old
// one was, even for a system that gives up the old file first.
const growth = 3

// saveFull saves the old version, then the new one to a disk that has room for a
// quarter of the old.
func saveFull(b bench) (Finding, error) {
	return b.saveTwice(func() error {
		_, size := LargestFile(b.home.Backup())
		return fillDisk(Ballast(b.Dir), size/4)
	})
}

// saveLimited stands in for it where no small disk can be had: no file may grow
// beyond half the size of the backup.
func saveLimited(b bench) (Finding, error) {
	return b.saveTwice(func() error {
		_, size := LargestFile(b.home.Backup())
		return limitFileSize(size / 2)
	})
}

// saveTwice ends without Close: it would save again, and a process that finds
// its disk full may well end by being killed.
func (b bench) saveTwice(fault func() error) (Finding, error) {
	store, err := b.saveOld()
	if err != nil {
		return Finding{}, err
	}
	store.Populate(Pairs(growth*b.Entries, New))
	if err := fault(); err != nil {
		return Finding{}, err
	}
	if err := store.Backup(); err != nil {
		return Finding{Note: b.withoutDir(err)}, nil
	}
	return Finding{Note: "no error"}, nil
}

func (b bench) saveOld() (*peer.Store, error) {
	store, err := b.system.Open(b.home)
	if err != nil {
		return nil, err
	}
	store.Populate(Pairs(b.Entries, Old))
	return store, store.Backup()
}

// withoutDir keeps the folder of this run out of the results.
func (b bench) withoutDir(err error) string {
	return strings.ReplaceAll(err.Error(), b.Dir+string(filepath.Separator), "")
}

// LargestFile finds where most of a backup is, be it a file or a folder.
func LargestFile(root string) (path string, size int64) {
	_ = filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // an unreadable part is not the largest file
		}
		if info, err := entry.Info(); err == nil && info.Size() >= size {
			path, size = at, info.Size()
		}
		return nil
	})
	return path, size
}

// fillDisk writes ballast until nothing more fits and then gives back spare bytes.
func fillDisk(ballast string, spare int64) error {
	file, err := os.Create(ballast)
	if err != nil {
		return err
	}
	defer file.Close()
	block := make([]byte, 64<<10)
	var size int64
	for {
		n, err := file.Write(block)
		size += int64(n)
		if errors.Is(err, syscall.ENOSPC) {
			return file.Truncate(max(0, size-spare))
		}
		if err != nil {
			return err
		}
	}
}

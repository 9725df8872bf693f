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

// Ballast returns the path of the file that fills the disk. Removing the file
// makes room again.
func Ballast(dir string) string { return filepath.Join(dir, "ballast") }

// saveOnce leaves a good backup of the old version behind.
func saveOnce(b bench) (Finding, error) {
	store, err := b.saveOld()
	if err != nil {
		return Finding{}, err
	}
	return Finding{}, store.Close()
}

// growth is the size of the new version in sizes of the old one. The new version
// does not fit into the room of the old one, even for a system that removes the
// old file first.
const growth = 3

// saveFull saves the old version, then the new version to a disk that has room
// for a quarter of the old one.
func saveFull(b bench) (Finding, error) {
	return b.saveTwice(func() error {
		_, size := LargestFile(b.home.Backup())
		return fillDisk(Ballast(b.Dir), size/4)
	})
}

// saveLimited replaces saveFull where no small disk can be mounted: no file may
// grow beyond half the size of the backup.
func saveLimited(b bench) (Finding, error) {
	return b.saveTwice(func() error {
		_, size := LargestFile(b.home.Backup())
		return limitFileSize(size / 2)
	})
}

// saveTwice ends without Close, which would save again: in practice a process
// that finds its disk full is often killed.
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
	store, err := b.open()
	if err != nil {
		return nil, err
	}
	return store, store.Backup()
}

// withoutDir keeps the folder of this run out of the results.
func (b bench) withoutDir(err error) string {
	return strings.ReplaceAll(err.Error(), b.Dir+string(filepath.Separator), "")
}

// LargestFile returns the file with most of a backup, which is a file or a
// folder.
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

// fillDisk writes ballast until the disk is full and then frees spare bytes.
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

// Contents counts the entries that a store gives back after a fault.
type Contents struct {
	Old       int    `json:"old"`
	New       int    `json:"new"`
	Wrong     int    `json:"wrong"`
	Missing   int    `json:"missing"`
	LoadError string `json:"loadError,omitempty"`
}

// inspect loads the remains of a backup and compares every entry.
func inspect(b bench) (Finding, error) {
	store, err := b.system.Load(b.home)
	contents := &Contents{}
	if err != nil {
		contents.LoadError = b.withoutDir(err)
	}
	if store == nil {
		contents.Missing = b.Entries
		return Finding{Contents: contents}, nil
	}
	for i := range b.Entries {
		contents.count(i, store)
	}
	if contents.New > 0 { // the new version has more keys, and a whole one holds them all
		for i := b.Entries; i < growth*b.Entries; i++ {
			contents.count(i, store)
		}
	}
	return Finding{Contents: contents}, nil
}

func (c *Contents) count(i int, store *peer.Store) {
	value, found := store.Get(Key(i))
	switch {
	case !found:
		c.Missing++
	case value == Value(i, Old):
		c.Old++
	case value == Value(i, New):
		c.New++
	default:
		c.Wrong++
	}
}

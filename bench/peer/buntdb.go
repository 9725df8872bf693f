package peer

import (
	"errors"
	"iter"
	"os"

	"github.com/tidwall/buntdb"
)

// buntMemory keeps nothing on disk by itself. Save goes to a temporary file that
// replaces the backup, as in the hand-written backups.
func buntMemory() System {
	return System{
		Name:     "buntdb, in memory",
		Bulk:     Instant,
		Snapshot: Instant,
		Durable:  handWritten,
		Open:     openBuntMemory,
		Load:     loadBuntMemory,
	}
}

// buntLog appends every write to a file, synced once a second. The file is a
// backup at all times. The measured operation is Shrink, which rewrites it.
func buntLog() System {
	return System{
		Name:     "buntdb, append-only file",
		Bulk:     Instant,
		Snapshot: Moving,
		Durable:  "each write appended, synced every second",
		Open:     openBuntLog,
		Load:     openBuntLog,
	}
}

type bunt struct{ db *buntdb.DB }

func openBuntMemory(home Home) (*Store, error) {
	db, err := buntdb.Open(":memory:")
	if err != nil {
		return nil, err
	}
	return bunt{db}.memoryStore(home), nil
}

func loadBuntMemory(home Home) (*Store, error) {
	file, err := os.Open(home.Backup())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	db, err := buntdb.Open(":memory:")
	if err != nil {
		return nil, err
	}
	return bunt{db}.memoryStore(home), db.Load(file)
}

func openBuntLog(home Home) (*Store, error) {
	db, err := buntdb.Open(home.Backup())
	if err != nil {
		return nil, err
	}
	return bunt{db}.store(db.Shrink), disableAutoShrink(db)
}

// disableAutoShrink keeps the database from shrinking by itself. Only one Shrink
// may run, and the measured one would fail.
func disableAutoShrink(db *buntdb.DB) error {
	var config buntdb.Config
	if err := db.ReadConfig(&config); err != nil {
		return err
	}
	config.AutoShrinkDisabled = true
	return db.SetConfig(config)
}

func (b bunt) memoryStore(home Home) *Store {
	return b.store(func() error { return replaceFile(home.Backup(), b.db.Save) })
}

func (b bunt) store(backup func() error) *Store {
	return &Store{
		Set:       b.set,
		Get:       b.get,
		Delete:    b.remove,
		Len:       b.size,
		ReadMany:  b.readMany,
		Increment: b.increment,
		Fill:      b.fill,
		Backup:    backup,
		Close:     b.db.Close,
	}
}

func (b bunt) set(key, value string) {
	must(b.db.Update(func(tx *buntdb.Tx) error {
		_, _, err := tx.Set(key, value, nil)
		return err
	}))
}

func (b bunt) get(key string) (value string, found bool) {
	must(b.db.View(func(tx *buntdb.Tx) (err error) {
		value, found, err = buntGet(tx, key)
		return err
	}))
	return value, found
}

func buntGet(tx *buntdb.Tx, key string) (string, bool, error) {
	value, err := tx.Get(key)
	if errors.Is(err, buntdb.ErrNotFound) {
		return "", false, nil
	}
	return value, err == nil, err
}

func (b bunt) remove(key string) {
	err := b.db.Update(func(tx *buntdb.Tx) error {
		_, err := tx.Delete(key)
		return err
	})
	if !errors.Is(err, buntdb.ErrNotFound) {
		must(err)
	}
}

func (b bunt) size() (n int) {
	must(b.db.View(func(tx *buntdb.Tx) (err error) {
		n, err = tx.Len()
		return err
	}))
	return n
}

func (b bunt) readMany(keys, values []string) {
	must(b.db.View(func(tx *buntdb.Tx) (err error) {
		for i, key := range keys {
			if values[i], _, err = buntGet(tx, key); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (b bunt) increment(key string) {
	must(b.db.Update(func(tx *buntdb.Tx) error {
		old, _, err := buntGet(tx, key)
		if err != nil {
			return err
		}
		_, _, err = tx.Set(key, plusOne(old), nil)
		return err
	}))
}

func (b bunt) fill(pairs iter.Seq2[string, string]) {
	must(b.db.Update(func(tx *buntdb.Tx) error {
		for key, value := range pairs {
			if _, _, err := tx.Set(key, value, nil); err != nil {
				return err
			}
		}
		return nil
	}))
}

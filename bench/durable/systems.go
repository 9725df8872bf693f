package main

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble"
	"github.com/dgraph-io/badger/v4"
	"github.com/tidwall/buntdb"
	bolt "go.etcd.io/bbolt"
	_ "modernc.org/sqlite"

	"github.com/windevkay/forge/genie"
)

// The promises.
const (
	whenItReturns = "when it has returned"
	withinASecond = "a second later at the latest, or when the system writes it"
)

// A system is a store as its users open it for a promise.
type system struct {
	name, promise string
	open          func(path string) (writer, error)
}

// A writer is an open store. write may be called by any number of goroutines.
type writer struct {
	fill  func(keys []string) error // before the clock starts
	write func(key, value string) error
	close func() error
}

var systems = []system{
	{"Genie", whenItReturns, openGenie(true)},
	{"buntdb, SyncPolicy Always", whenItReturns, openBunt(buntdb.Always)},
	{"bbolt, Update", whenItReturns, openBolt(false, (*bolt.DB).Update)},
	{"bbolt, Batch", whenItReturns, openBolt(false, (*bolt.DB).Batch)},
	{"badger, SyncWrites", whenItReturns, openBadger(true)},
	{"pebble, Sync", whenItReturns, openPebble(pebble.Sync)},
	{"SQLite, WAL, FULL", whenItReturns, openSQLite("FULL")},
	{"Genie", withinASecond, openGenie(false)},
	{"buntdb, SyncPolicy EverySecond", withinASecond, openBunt(buntdb.EverySecond)},
	{"bbolt, NoSync", withinASecond, openBolt(true, (*bolt.DB).Update)},
	{"badger", withinASecond, openBadger(false)},
	{"pebble, NoSync", withinASecond, openPebble(pebble.NoSync)},
	{"SQLite, WAL, NORMAL", withinASecond, openSQLite("NORMAL")},
}

const filler = "a value of fifty bytes, as the writes have them, .."

// each fills a store by writes of its own.
func each(set func(key, value string) error) func(keys []string) error {
	return func(keys []string) error {
		for _, key := range keys {
			if err := set(key, filler); err != nil {
				return err
			}
		}
		return nil
	}
}

func openGenie(sync bool) func(string) (writer, error) {
	return func(path string) (writer, error) {
		store, err := genie.NewStore(genie.WithPath(path), genie.WithJournal())
		if err != nil {
			return writer{}, err
		}
		set := func(key, value string) error { store.Set(key, value); return nil }
		w := writer{close: store.Close, write: set, fill: func(keys []string) error {
			_ = each(set)(keys)
			return store.Backup()
		}}
		if sync {
			w.write = func(key, value string) error { store.Set(key, value); return store.Sync() }
		} else {
			store.StartAutoBackup(time.Second)
		}
		return w, nil
	}
}

func openBunt(policy buntdb.SyncPolicy) func(string) (writer, error) {
	return func(path string) (writer, error) {
		db, err := buntdb.Open(path)
		if err != nil {
			return writer{}, err
		}
		var config buntdb.Config
		if err := db.ReadConfig(&config); err != nil {
			return writer{}, err
		}
		config.SyncPolicy = policy
		set := func(key, value string) error {
			return db.Update(func(tx *buntdb.Tx) error { _, _, err := tx.Set(key, value, nil); return err })
		}
		return writer{write: set, close: db.Close, fill: func(keys []string) error {
			err := db.Update(func(tx *buntdb.Tx) error {
				return each(func(key, value string) error { _, _, err := tx.Set(key, value, nil); return err })(keys)
			})
			if err != nil {
				return err
			}
			return db.SetConfig(config)
		}}, nil
	}
}

func openBolt(noSync bool, update func(*bolt.DB, func(*bolt.Tx) error) error) func(string) (writer, error) {
	return func(path string) (writer, error) {
		db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: noSync})
		if err != nil {
			return writer{}, err
		}
		bucket := []byte("entries")
		put := func(tx *bolt.Tx, key, value string) error { return tx.Bucket(bucket).Put([]byte(key), []byte(value)) }
		return writer{
			close: db.Close,
			write: func(key, value string) error {
				return update(db, func(tx *bolt.Tx) error { return put(tx, key, value) })
			},
			fill: func(keys []string) error {
				return db.Update(func(tx *bolt.Tx) error {
					if _, err := tx.CreateBucket(bucket); err != nil {
						return err
					}
					return each(func(key, value string) error { return put(tx, key, value) })(keys)
				})
			},
		}, nil
	}
}

func openBadger(sync bool) func(string) (writer, error) {
	return func(path string) (writer, error) {
		db, err := badger.Open(badger.DefaultOptions(path).WithSyncWrites(sync).WithLogger(nil))
		if err != nil {
			return writer{}, err
		}
		return writer{
			close: db.Close,
			write: func(key, value string) error {
				return db.Update(func(tx *badger.Txn) error { return tx.Set([]byte(key), []byte(value)) })
			},
			fill: func(keys []string) error {
				batch := db.NewWriteBatch()
				if err := each(func(key, value string) error { return batch.Set([]byte(key), []byte(value)) })(keys); err != nil {
					return err
				}
				return batch.Flush()
			},
		}, nil
	}
}

func openPebble(how *pebble.WriteOptions) func(string) (writer, error) {
	return func(path string) (writer, error) {
		db, err := pebble.Open(path, &pebble.Options{Logger: silent{}})
		if err != nil {
			return writer{}, err
		}
		set := func(how *pebble.WriteOptions) func(key, value string) error {
			return func(key, value string) error { return db.Set([]byte(key), []byte(value), how) }
		}
		return writer{write: set(how), close: db.Close, fill: each(set(pebble.NoSync))}, nil
	}
}

type silent struct{}

func (silent) Infof(string, ...any)             {}
func (silent) Errorf(string, ...any)            {}
func (silent) Fatalf(format string, all ...any) { panic(fmt.Sprintf(format, all...)) }

// openSQLite has one connection for all callers, as SQLite has one writer at a time.
func openSQLite(synchronous string) func(string) (writer, error) {
	return func(path string) (writer, error) {
		db, err := sql.Open("sqlite", path+"?_pragma=journal_mode(WAL)&_pragma=synchronous("+synchronous+")")
		if err != nil {
			return writer{}, err
		}
		db.SetMaxOpenConns(1)
		if _, err := db.Exec("CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"); err != nil {
			return writer{}, err
		}
		const upsert = "INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
		statement, err := db.Prepare(upsert)
		if err != nil {
			return writer{}, err
		}
		return writer{
			close: db.Close,
			write: func(key, value string) error { _, err := statement.Exec(key, value); return err },
			fill: func(keys []string) error {
				tx, err := db.Begin()
				if err != nil {
					return err
				}
				insert := tx.Stmt(statement)
				if err := each(func(key, value string) error { _, err := insert.Exec(key, value); return err })(keys); err != nil {
					return err
				}
				return tx.Commit()
			},
		}, nil
	}
}

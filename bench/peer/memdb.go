package peer

import (
	"iter"

	"github.com/hashicorp/go-memdb"
)

func memDB() System {
	return System{
		Name:     "go-memdb",
		Bulk:     Instant,
		Snapshot: Instant,
		Durable:  handWritten,
		Open:     openMemDB,
		Load:     loadJSON(openMemDB),
	}
}

const rows = "rows"

type row struct{ Key, Value string }

type radix struct{ db *memdb.MemDB }

func openMemDB(home Home) (*Store, error) {
	db, err := memdb.NewMemDB(&memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		rows: {Name: rows, Indexes: map[string]*memdb.IndexSchema{
			"id": {Name: "id", Unique: true, Indexer: &memdb.StringFieldIndex{Field: "Key"}},
		}},
	}})
	if err != nil {
		return nil, err
	}
	return radix{db}.store(home), nil
}

func (r radix) store(home Home) *Store {
	return &Store{
		Set:       r.set,
		Get:       r.get,
		Delete:    r.remove,
		Len:       r.size,
		ReadMany:  r.readMany,
		Increment: r.increment,
		Fill:      r.fill,
		Backup:    func() error { return streamTo(home.Backup(), all(r.db.Snapshot())) },
		Close:     func() error { return nil },
	}
}

// update runs change in the one write transaction the database allows at a time.
func (r radix) update(change func(tx *memdb.Txn)) {
	tx := r.db.Txn(true)
	defer tx.Abort() // does nothing after Commit
	change(tx)
	tx.Commit()
}

func (r radix) set(key, value string) {
	r.update(func(tx *memdb.Txn) { insert(tx, key, value) })
}

func (r radix) get(key string) (string, bool) {
	return first(r.db.Txn(false), key)
}

func (r radix) remove(key string) {
	r.update(func(tx *memdb.Txn) {
		_, err := tx.DeleteAll(rows, "id", key)
		must(err)
	})
}

func (r radix) size() (n int) {
	for range all(r.db) {
		n++
	}
	return n
}

func (r radix) readMany(keys, values []string) {
	tx := r.db.Txn(false)
	for i, key := range keys {
		values[i], _ = first(tx, key)
	}
}

func (r radix) increment(key string) {
	r.update(func(tx *memdb.Txn) {
		old, _ := first(tx, key)
		insert(tx, key, plusOne(old))
	})
}

func (r radix) fill(pairs iter.Seq2[string, string]) {
	r.update(func(tx *memdb.Txn) {
		for key, value := range pairs {
			insert(tx, key, value)
		}
	})
}

func insert(tx *memdb.Txn, key, value string) {
	must(tx.Insert(rows, &row{key, value}))
}

func first(tx *memdb.Txn, key string) (string, bool) {
	found, err := tx.First(rows, "id", key)
	must(err)
	if found == nil {
		return "", false
	}
	return found.(*row).Value, true
}

func all(db *memdb.MemDB) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		found, err := db.Txn(false).Get(rows, "id")
		must(err)
		for next := found.Next(); next != nil; next = found.Next() {
			if r := next.(*row); !yield(r.Key, r.Value) {
				return
			}
		}
	}
}

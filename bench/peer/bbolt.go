package peer

import (
	"iter"
	"maps"
	"slices"

	"go.etcd.io/bbolt"
)

// boltSynced is bbolt with its defaults: each commit is on disk before it
// returns.
func boltSynced() System {
	return boltSystem("bbolt", "each commit synced; the copy is not", &bbolt.Options{})
}

// boltUnsynced does not sync commits, to compare with stores whose writes are in
// memory until the next backup.
func boltUnsynced() System {
	return boltSystem("bbolt, NoSync", "copy written in place, not synced", &bbolt.Options{NoSync: true})
}

func boltSystem(name, durable string, options *bbolt.Options) System {
	return System{
		Name:     name,
		Bulk:     Instant,
		Snapshot: Instant,
		Durable:  durable,
		Open:     func(home Home) (*Store, error) { return openBolt(home.Live(), home, options) },
		Load:     func(home Home) (*Store, error) { return openBolt(home.Backup(), home, options) },
	}
}

var bucketName = []byte("entries")

type bolt struct{ db *bbolt.DB }

func openBolt(path string, home Home, options *bbolt.Options) (*Store, error) {
	db, err := bbolt.Open(path, 0o600, options)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketName)
		return err
	})
	return bolt{db}.store(home), err
}

func (b bolt) store(home Home) *Store {
	return &Store{
		Set:       b.set,
		Get:       b.get,
		Delete:    b.remove,
		Len:       b.size,
		ReadMany:  b.readMany,
		Increment: b.increment,
		Fill:      b.fill,
		Backup:    func() error { return b.copyTo(home.Backup()) },
		Close:     b.db.Close,
	}
}

func (b bolt) view(read func(entries *bbolt.Bucket)) {
	must(b.db.View(func(tx *bbolt.Tx) error {
		read(tx.Bucket(bucketName))
		return nil
	}))
}

func (b bolt) update(change func(entries *bbolt.Bucket) error) {
	must(b.db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket(bucketName)) }))
}

func (b bolt) set(key, value string) {
	b.update(func(entries *bbolt.Bucket) error { return entries.Put([]byte(key), []byte(value)) })
}

func (b bolt) get(key string) (value string, found bool) {
	b.view(func(entries *bbolt.Bucket) {
		bytes := entries.Get([]byte(key)) // valid only inside the transaction
		value, found = string(bytes), bytes != nil
	})
	return value, found
}

func (b bolt) remove(key string) {
	b.update(func(entries *bbolt.Bucket) error { return entries.Delete([]byte(key)) })
}

func (b bolt) size() (n int) {
	b.view(func(entries *bbolt.Bucket) { n = entries.Stats().KeyN })
	return n
}

func (b bolt) readMany(keys, values []string) {
	b.view(func(entries *bbolt.Bucket) {
		for i, key := range keys {
			values[i] = string(entries.Get([]byte(key)))
		}
	})
}

func (b bolt) increment(key string) {
	b.update(func(entries *bbolt.Bucket) error {
		return entries.Put([]byte(key), []byte(plusOne(string(entries.Get([]byte(key))))))
	})
}

// fill inserts in the order of the tree, a batch per commit: random order would
// touch most pages in every commit.
func (b bolt) fill(pairs iter.Seq2[string, string]) {
	const batch = 100_000
	entries := maps.Collect(pairs)
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(entries)), batch) {
		b.update(func(bucket *bbolt.Bucket) error {
			for _, key := range keys {
				if err := bucket.Put([]byte(key), []byte(entries[key])); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func (b bolt) copyTo(path string) error {
	return b.db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(path, 0o600) })
}

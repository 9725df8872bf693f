package peer

import "github.com/windevkay/forge/genie"

// Genie is this library.
func Genie() System {
	return System{
		Name:     Reference,
		Bulk:     Instant,
		Snapshot: Instant,
		Durable:  "file and folder synced",
		Open:     openGenie,
		Load:     openGenie,
	}
}

type actorStore struct{ store *genie.Store }

// openGenie serves Load as well: a new store reads its backup file.
func openGenie(home Home) (*Store, error) {
	store, err := genie.NewStore(genie.WithPath(home.Backup()))
	if err != nil {
		return nil, err
	}
	a := actorStore{store}
	return &Store{
		Set:       store.Set,
		Get:       store.Get,
		Delete:    store.Delete,
		Len:       store.Len,
		ReadMany:  a.readMany,
		Increment: a.increment,
		Update:    a.update,
		Drain:     func() { store.Len() },
		Backup:    store.Backup,
		Close:     store.Close,
	}, nil
}

func (a actorStore) readMany(keys, values []string) {
	must(a.store.View(func(v *genie.View) error {
		for i, key := range keys {
			values[i], _ = v.Get(key)
		}
		return nil
	}))
}

func (a actorStore) increment(key string) {
	_, err := a.store.Increment(key, 1)
	must(err)
}

func (a actorStore) update(key string) {
	must(a.store.Update(func(tx *genie.Tx) error {
		old, _ := tx.Get(key)
		tx.Set(key, plusOne(old))
		return nil
	}))
}

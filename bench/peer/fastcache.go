package peer

import "github.com/VictoriaMetrics/fastcache"

// fastCache is a ring of bytes: an overwrite appends, and a full ring drops its
// oldest bytes. So the ring gets room for several versions of each entry.
func fastCache() System {
	return System{
		Name:     "fastcache",
		Bulk:     Moving,
		Snapshot: Moving,
		Durable:  "not synced; the old folder is removed first",
		Open:     openFastCache,
		Load:     loadFastCache,
	}
}

type ring struct{ cache *fastcache.Cache }

func openFastCache(home Home) (*Store, error) {
	return ring{fastcache.New(ringSize(home))}.store(home), nil
}

func loadFastCache(home Home) (*Store, error) {
	cache, err := fastcache.LoadFromFileMaxBytes(home.Backup(), ringSize(home))
	if err != nil {
		return nil, err
	}
	return ring{cache}.store(home), nil
}

func ringSize(home Home) int {
	const (
		perEntry = 512
		minimum  = 64 << 20
	)
	return max(minimum, home.Entries*perEntry)
}

func (r ring) store(home Home) *Store {
	return &Store{
		Set:      func(key, value string) { r.cache.Set([]byte(key), []byte(value)) },
		Get:      r.get,
		Delete:   func(key string) { r.cache.Del([]byte(key)) },
		Len:      r.size,
		ReadMany: readEach(r.get),
		Backup:   func() error { return r.cache.SaveToFile(home.Backup()) },
		Close:    func() error { r.cache.Reset(); return nil },
	}
}

func (r ring) get(key string) (string, bool) {
	var room [64]byte // fits any value here, so that reading one allocates once
	value, found := r.cache.HasGet(room[:0], []byte(key))
	return string(value), found
}

func (r ring) size() int {
	var stats fastcache.Stats
	r.cache.UpdateStats(&stats)
	return int(stats.EntriesCount)
}

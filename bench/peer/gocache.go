package peer

import (
	"strconv"

	"github.com/patrickmn/go-cache"
)

func goCache() System {
	return System{
		Name:     "go-cache",
		Bulk:     Moving,
		Snapshot: Instant,
		Durable:  "written in place, not synced",
		Open:     openGoCache,
		Load:     loadGoCache,
	}
}

type expiring struct{ cache *cache.Cache }

func openGoCache(home Home) (*Store, error) {
	return newGoCache(home).store(home), nil
}

func loadGoCache(home Home) (*Store, error) {
	e := newGoCache(home)
	return e.store(home), e.cache.LoadFile(home.Backup())
}

func newGoCache(Home) *expiring {
	return &expiring{cache: cache.New(cache.NoExpiration, 0)}
}

func (e *expiring) store(home Home) *Store {
	return &Store{
		Set:       e.set,
		Get:       e.get,
		Delete:    e.cache.Delete,
		Len:       e.cache.ItemCount,
		ReadMany:  readEach(e.get),
		Increment: e.increment,
		Backup:    func() error { return e.cache.SaveFile(home.Backup()) },
		Close:     func() error { return nil },
	}
}

func (e *expiring) set(key, value string) {
	e.cache.Set(key, value, cache.NoExpiration)
}

func (e *expiring) get(key string) (string, bool) {
	value, found := e.cache.Get(key)
	if text, ok := value.(string); ok {
		return text, found
	}
	if n, ok := value.(int64); ok {
		return strconv.FormatInt(n, 10), found
	}
	return "", false
}

// increment counts with a number: go-cache has atomic changes of numbers and none
// of strings.
func (e *expiring) increment(key string) {
	for {
		if _, err := e.cache.IncrementInt64(key, 1); err == nil {
			return
		}
		if e.cache.Add(key, int64(1), cache.NoExpiration) == nil {
			return
		}
	}
}

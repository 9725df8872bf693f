package peer

import "github.com/maypok86/otter/v2"

// otterCache has no size limit. A limit would make otter drop entries, and hold
// up writers during a save.
func otterCache() System {
	return System{
		Name:     "otter",
		Bulk:     Moving,
		Snapshot: Moving,
		Durable:  "file synced, folder not",
		Open:     openOtter,
		Load:     loadOtter,
	}
}

func openOtter(home Home) (*Store, error) {
	cache, err := otter.New(new(otter.Options[string, string]))
	if err != nil {
		return nil, err
	}
	return otterStore(cache, home), nil
}

func loadOtter(home Home) (*Store, error) {
	cache, err := otter.New(new(otter.Options[string, string]))
	if err != nil {
		return nil, err
	}
	return otterStore(cache, home), otter.LoadCacheFromFile(cache, home.Backup())
}

func otterStore(cache *otter.Cache[string, string], home Home) *Store {
	return &Store{
		Set:       func(key, value string) { cache.Set(key, value) },
		Get:       cache.GetIfPresent,
		Delete:    func(key string) { cache.Invalidate(key) },
		Len:       cache.EstimatedSize,
		ReadMany:  readEach(cache.GetIfPresent),
		Increment: func(key string) { cache.Compute(key, otterPlusOne) },
		Backup:    func() error { return otter.SaveCacheToFile(cache, home.Backup()) },
		Close:     func() error { cache.StopAllGoroutines(); return nil },
	}
}

func otterPlusOne(old string, _ bool) (string, otter.ComputeOp) {
	return plusOne(old), otter.WriteOp
}

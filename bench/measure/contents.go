package measure

import "github.com/windevkay/forge/genie/bench/peer"

// Contents is what a store gives back after a fault, entry by entry.
type Contents struct {
	Old       int    `json:"old"`
	New       int    `json:"new"`
	Wrong     int    `json:"wrong"`
	Missing   int    `json:"missing"`
	LoadError string `json:"loadError,omitempty"`
}

// inspect loads what is there and compares every entry.
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
	if contents.New > 0 { // then the keys that only the new version has belong there too
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

package main

import (
	"os"
	"path/filepath"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/bench/measure"
)

// A fixture is a store of n entries in a folder of its own.
type fixture struct {
	*genie.Store
	dir  string
	keys []string
}

func newFixture(n int, options ...genie.Option) (*fixture, error) {
	dir, err := os.MkdirTemp("", "genie-ratios-")
	if err != nil {
		return nil, err
	}
	f := &fixture{dir: dir, keys: measure.Keys(n)}
	f.Store, err = genie.NewStore(append(options, genie.WithPath(f.path()))...)
	if err != nil {
		f.close()
		return nil, err
	}
	for key, value := range measure.Pairs(n, measure.Old) {
		f.Set(key, value)
	}
	f.Len() // waits for the writes
	return f, nil
}

func (f *fixture) path() string { return filepath.Join(f.dir, "store.json") }
func (f *fixture) close()       { os.RemoveAll(f.dir) }

// key returns the key of a call.
func (f *fixture) key(call int) string { return f.keys[call%len(f.keys)] }

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/windevkay/forge/genie"
)

// rounds is how often each side of a ratio is measured, in turns.
const rounds = 7

// medians measures the functions in turns and returns the median of each.
func medians(measure ...func() float64) []float64 {
	all := make([][]float64, len(measure))
	for range rounds {
		for i, m := range measure {
			all[i] = append(all[i], m())
		}
	}
	result := make([]float64, len(measure))
	for i, values := range all {
		slices.Sort(values)
		result[i] = values[len(values)/2]
	}
	return result
}

// perOp returns the ns per call of op, by callers goroutines that make total
// calls between them.
func perOp(callers, total int, op func(i int)) float64 {
	var wg sync.WaitGroup
	start := time.Now()
	for g := range callers {
		wg.Go(func() {
			for i := g; i < total; i += callers {
				op(i)
			}
		})
	}
	wg.Wait()
	return float64(time.Since(start).Nanoseconds()) / float64(total)
}

// A fixture is a store of n entries in a folder of its own.
type fixture struct {
	*genie.Store
	dir  string
	keys []string
}

func newFixture(n int) (*fixture, error) {
	dir, err := os.MkdirTemp("", "genie-ratios-")
	if err != nil {
		return nil, err
	}
	f := &fixture{dir: dir, keys: make([]string, n)}
	f.Store, err = genie.NewStore(genie.WithPath(f.path()))
	if err != nil {
		return nil, err
	}
	for i := range f.keys {
		f.keys[i] = fmt.Sprintf("key-%08d", i*7919%n)
		f.Set(f.keys[i], value(i))
	}
	f.Len() // waits for the writes
	return f, nil
}

// value returns some 40 bytes that are different for every i.
func value(i int) string { return fmt.Sprintf("value %08d of an ordinary length, 40 b", i) }

func (f *fixture) path() string { return filepath.Join(f.dir, "store.json") }
func (f *fixture) close()       { os.RemoveAll(f.dir) }

package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/windevkay/forge/genie"
)

// told is a model of a ledger: the hashes at the last report, and those of now.
type told struct{ then, now map[string]string }

func (m told) news() (n news) {
	paths := maps.Clone(m.then)
	maps.Copy(paths, m.now)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		was, is := m.then[path], m.now[path]
		switch {
		case was == is:
		case was == "":
			n.added = append(n.added, path)
		case is == "":
			n.gone = append(n.gone, path)
		default:
			n.changed = append(n.changed, path)
		}
	}
	return n
}

// restored is what a run finds that follows one that was killed after a backup.
func restored(t require.TestingT, dir string, l ledger) ledger {
	next := emptyLedger(t, dir)
	for key, value := range l.store.Snapshot() {
		next.store.Set(key, value)
	}
	return next
}

// emptyLedger needs a dir in which nobody makes backups.
func emptyLedger(t require.TestingT, dir string) ledger {
	store, err := genie.NewStore(genie.WithPath(filepath.Join(dir, "state.json")))
	require.NoError(t, err)
	return ledger{store}
}

func TestNewsAreWhatNobodyWasTold(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		l, model := emptyLedger(t, dir), told{map[string]string{}, map[string]string{}}
		path := rapid.SampledFrom([]string{"a", "b", "c", "dir/a"})
		hash := rapid.SampledFrom([]string{"1", "2", "3"})
		t.Repeat(map[string]func(*rapid.T){
			"record": func(t *rapid.T) {
				name, text := path.Draw(t, "path"), hash.Draw(t, "hash")
				l.record(name, text)
				model.now[name] = text
			},
			"gone": func(t *rapid.T) {
				name := path.Draw(t, "path")
				l.recordGone(func(path string) bool { return path != name })
				delete(model.now, name)
			},
			"report": func(*rapid.T) {
				l.settle(l.news(), time.Now())
				model.then = maps.Clone(model.now)
			},
			"kill": func(t *rapid.T) { l = restored(t, dir, l) },
			"": func(t *rapid.T) {
				n := l.news()
				n.since, n.reverted = "", nil
				require.Equal(t, model.news(), n)
			},
		})
	})
}

// untold returns the paths in a backup that break the ledger's invariant,
// given what was last reported.
func untold(backup, reported map[string]string) (broken []string) {
	for key, hash := range backup {
		path, ok := strings.CutPrefix(key, filePrefix)
		if !ok || hash == reported[path] {
			continue
		}
		if was, noted := backup[unreportedPrefix+path]; !noted || was != reported[path] {
			broken = append(broken, path)
		}
	}
	return broken
}

func TestNoBackupHasHalfAChange(t *testing.T) {
	l := emptyLedger(t, t.TempDir())
	reported := map[string]string{}
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 500 {
				l.record(strconv.Itoa(w)+"/"+strconv.Itoa(i), "hash")
			}
		})
	}
	for l.store.Len() < 2*8*500 {
		require.Empty(t, untold(l.store.Snapshot(), reported))
	}
	writers.Wait()
	require.Len(t, l.news().added, 8*500)
}

func TestHalfAChangeWouldBeSeen(t *testing.T) {
	l := emptyLedger(t, t.TempDir())
	l.record("whole", "hash")
	l.store.Set(filePrefix+"half", "hash") // and then would come the other Set
	require.Equal(t, []string{"half"}, untold(l.store.Snapshot(), nil))
}

func TestFileThatChangedBackIsNoNews(t *testing.T) {
	l := emptyLedger(t, t.TempDir())
	l.record("a", "1")
	l.settle(l.news(), time.Now())
	l.record("a", "2")
	l.record("a", "1")
	n := l.news()
	require.Empty(t, slices.Concat(n.added, n.changed, n.gone))
	l.settle(n, time.Now())
	require.Equal(t, 2, l.store.Len(), "the file, and when it was looked at")
}

func TestFirstKeys(t *testing.T) {
	l := emptyLedger(t, t.TempDir())
	for i := range 1000 {
		l.store.Set(strconv.Itoa(i+1000), "")
	}
	for _, tt := range []struct {
		n    int
		want []string
	}{{0, nil}, {1, []string{"1000"}}, {3, []string{"1000", "1001", "1002"}}} {
		require.NoError(t, l.store.View(func(v *genie.View) error {
			require.Equal(t, tt.want, firstKeys(v, tt.n))
			return nil
		}))
	}
	var all bytes.Buffer
	require.NoError(t, describeBackup(&all, os.DevNull, l.store))
	require.Contains(t, all.String(), "entries: 1,000")
}

package durable_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/codec"
	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// keptOf returns the contents of Previous after each act of a stranger, given the contents
// of the file before the act.
var keptOf = map[string]func(before string) string{
	"removes":        func(string) string { return "" },
	"replaces":       func(string) string { return strangers },
	"edits in place": func(before string) string { return before + "edit" },
}

var strangeActions = [][]string{{"set", "sync"}, {"sync"}, {"set", "backup"}, {"set", "ahead"}}

// Another program changes the file in front of each operation of a Sync or a backup. The
// store goes on, its next acknowledgement is durable, and the contents of the other program
// are in Previous, byte for byte. A change between the last look and the rename is lost.
func TestAStrangerAtEveryOperation(t *testing.T) {
	for _, actions := range strangeActions {
		for act := range keptOf {
			t.Run(fmt.Sprint(act, " ", actions), func(t *testing.T) {
				for op, more := 0, true; more; op++ {
					more, _ = strangerAt(t, act, op, never, actions)
				}
			})
		}
	}
}

// And one of the operations fails.
func TestAStrangerAndAnError(t *testing.T) {
	by := sampled(5)
	for _, actions := range strangeActions {
		for act := range keptOf {
			t.Run(fmt.Sprint(act, " ", actions), func(t *testing.T) {
				for op, more := 0, true; more; op++ {
					for fails, again := op%by, true; again; fails += by {
						more, again = strangerAt(t, act, op, fails, actions)
					}
				}
			})
		}
	}
}

// strangerAt has the stranger act in front of operation op, and operation fails fail, and
// reports whether the actions had so many operations.
func strangerAt(t *testing.T, act string, op, fails int, actions []string) (more, again bool) {
	l := &life{model: newJournalModel(), disk: durabletest.NewDisk(), history: history{values: []int{0}}}
	defer func() { l.end() }()
	l.load()
	for _, action := range []string{"set", "sync", "set", "sync"} {
		require.NoError(t, l.do(action))
	}
	first, kept := l.p.Ops(), ""
	l.p.FailAt(first+fails, syscall.EIO, false)
	l.p.Before(func(string, string) {
		if l.p.Ops() == first+op+1 {
			before, _ := l.disk.ReadFile(backup)
			strangerActs[act](l)
			kept = keptOf[act](string(before))
		}
	})
	var err error
	for _, action := range actions {
		err = errors.Join(err, l.do(action))
	}
	l.p.Heal()
	l.p.Before(nil)
	names := l.p.OpNames()[first:]
	if more, again = len(names) > op, len(names) > fails; !more {
		return more, again
	}
	at := fmt.Sprint(op, " ", names[op])
	if again {
		at += fmt.Sprint(", fails ", fails, " ", names[fails])
	} else {
		require.NoError(t, err)
	}
	renamed := slices.Index(names, "Rename .backup.json.tmp-* backup.json")
	if err == nil && (renamed < 0 || op < renamed) { // else the act came after the last look
		requireAcknowledged(t, l, at)
	}
	require.NoError(t, l.do("set"))
	require.NoError(t, l.do("sync"))
	requireAcknowledged(t, l, at)
	there, _ := l.disk.ReadFile(previous)
	betweenLookAndNote := names[op] == "Write .backup.json.tmp-*" || names[op] == "Fstat .backup.json.tmp-*"
	switch {
	case op == renamed:
	case betweenLookAndNote && act == "edits in place":
		require.Contains(t, string(there), "edit", at)
	default:
		require.Equal(t, kept, string(there), at)
	}
	return more, again
}

// requireAcknowledged requires that every disk without power has the newest value.
func requireAcknowledged(t *testing.T, l *life, at string) {
	t.Helper()
	require.Equal(t, l.newest(), l.acked)
	for image := range l.disk.Crashes() {
		value, err := decoded(recovered(t, image))
		require.NoError(t, err, at)
		require.Equal(t, l.values[l.acked], value, at)
	}
}

// A user edits the file of a store that was killed. An edit with steps behind it is
// refused, and nothing is touched: when the edit is taken back, all is loaded.
func TestEditsBetweenLives(t *testing.T) {
	const refusal = -1
	for _, c := range []struct {
		name string
		edit func(lines []string) []string
		want int // the value that is loaded, or refusal
	}{
		{"none", func(lines []string) []string { return lines }, 5},
		{"the object, under steps", func(lines []string) []string {
			lines[0] = `{"a":"7","b":"7","odd":"1"}`
			return lines
		}, refusal},
		{"the object, alone", func([]string) []string { return []string{`{"a":"7","b":"7","odd":"1"}`} }, 7},
		{"a value of the last step", func(lines []string) []string {
			lines[2] = strings.Replace(lines[2], `"5"`, `"7"`, 1)
			return lines
		}, refusal},
		{"the first step out", func(lines []string) []string { return slices.Delete(lines, 1, 2) }, refusal},
		{"the last step out", func(lines []string) []string { return lines[:2] }, 4},
		{"half of the last step out", func(lines []string) []string {
			lines[2] = lines[2][:50]
			return lines
		}, 4},
		{"text behind", func(lines []string) []string { return append(lines, "x") }, refusal},
		{"text behind the object", func(lines []string) []string { return []string{lines[0], "x"} }, refusal},
		{"all out", func([]string) []string { return nil }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &life{model: newJournalModel(), disk: durabletest.NewDisk(), history: history{values: []int{0}}, next: 3}
			defer func() { l.end() }()
			l.load()
			l.all([]string{"set", "sync", "set", "sync", "set", "sync"})
			before, _ := l.disk.ReadFile(backup)
			l.end()

			lines := strings.Split(strings.TrimSuffix(string(before), "\n"), "\n")
			require.Len(t, lines, 3)
			edited := strings.Join(c.edit(lines), "\n") // without the last line feed
			l.disk.WriteFile(backup, []byte(edited))
			file, err := durable.Open(unstarted(t, l.disk).fsys, backup, 0)
			require.NoError(t, err)
			value := 0
			err = file.Load(readState(&value))
			if c.want == refusal {
				require.Error(t, err)
				requireFiles(t, l.disk, files{backup: edited})
				l.disk.WriteFile(backup, before)
				require.NoError(t, file.Load(readState(&value)))
				require.Equal(t, 5, value)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, value)
		})
	}
}

// A race is a store whose goroutines do all at once.
type race struct {
	mu         sync.Mutex // guards now and acked, as the owner does
	now, acked int

	last  int // guarded by the path's mutex, and so is chain
	chain codec.Chain
}

// view writes, and returns the new value.
func (r *race) view() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now++
	return r.now
}

func (r *race) ack(value int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked = max(r.acked, value)
}

func (r *race) sync(t *testing.T, f *durable.File) {
	to := 0
	err := f.Append(func() (line []byte, err error) {
		to = r.view()
		line, r.chain = stepLine(r.chain, stateOf(r.last), stateOf(to))
		r.last = to
		return line, nil
	})
	if err == nil {
		r.ack(to)
	} else if !errors.Is(err, durable.ErrNotLive) {
		t.Error(err)
	}
}

func (r *race) backup(f *durable.File) error {
	from := r.view()
	p, err := f.Create()
	if err != nil {
		return err
	}
	end, err := writeBase(p, from)
	if err != nil {
		p.Abort()
		return err
	}
	to := 0
	if err := p.CommitLive(func() (lines []byte, err error) {
		to = r.view()
		lines, end = stepLine(end, stateOf(from), stateOf(to))
		return lines, nil
	}, func() { r.last, r.chain = to, end }); err != nil {
		return err
	}
	r.ack(to)
	return nil
}

// Syncs and backups at once, for the race detector. A load gives the newest acknowledged
// value.
func TestSyncsBesideBackups(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	r := &race{now: 1}
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 100 {
				r.sync(t, p.file)
			}
		})
	}
	work.Go(func() {
		for range 25 {
			if err := r.backup(p.file); err != nil {
				t.Error(err)
			}
			p.file.Intact()
		}
	})
	work.Wait()
	require.Positive(t, r.acked)
	for image := range disk.Crashes() {
		value, err := decoded(recovered(t, image))
		require.NoError(t, err)
		require.Equal(t, r.acked, value)
	}
}

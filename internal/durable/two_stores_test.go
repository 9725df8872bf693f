package durable_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// twoStores are stores of one process on one path. The second store does its actions in
// front of operations of the first, or as soon as the mutex is free.
type twoStores struct {
	disk   *durabletest.Disk
	p      *durabletest.Process
	fsys   durable.FS
	stores [2]*life
	active int // the store that is at work

	// moving is how far each store's backup has come with its move to Previous.
	moving    [2]move
	excusing  bool // the exception of docs/design.md holds
	failingAt int  // the operation that fails

	// taken is the index of the value of each store that the second has loaded, or -1. The
	// loader has to keep that value from then on.
	taken [2]int

	tried   map[string]bool
	images  int
	excused int // disks that the exception has excused
	lost    []string
}

// A move is a stage of a backup that keeps the file of the other store. Previous has one
// place. From the rename to Previous to the sync of the folder behind the rename of the
// backup, the store's own data may be in no file: docs/design.md, "Errors".
type move int

const (
	none move = iota
	copied
	renamed
	syncing
)

func newTwoStores(plant func(p *durabletest.Process) durable.FS) *twoStores {
	two := &twoStores{disk: durabletest.NewDisk(), tried: map[string]bool{}, excusing: true, failingAt: -1, taken: [2]int{-1, -1}}
	two.p = two.disk.Process()
	two.fsys = plant(two.p)
	for i := range two.stores {
		two.open(i)
	}
	if b, ok := two.fsys.(*blindToBoth); ok {
		b.two = two
	}
	return two
}

func (two *twoStores) fails(format string, args ...any) {
	two.lost = append(two.lost, fmt.Sprintf(format, args...))
}

// open ends store i and starts a new one, which takes over the contents of the file.
func (two *twoStores) open(i int) {
	next := 1 + 1000*i
	if old := two.stores[i]; old != nil {
		next = old.next
		_ = old.file.Close()
	}
	l := &life{
		model: newJournalModel(), disk: two.disk, p: two.p, fsys: two.fsys,
		history: history{values: []int{0}}, next: next, fresh: true,
	}
	value, err := l.startOn(two.fsys)
	if err != nil && two.failingAt >= 0 {
		value, err = l.startOn(two.fsys)
	}
	if err != nil {
		two.fails("load: %v", err)
	}
	if other := two.stores[1-i]; other != nil {
		two.taken[1-i] = max(two.taken[1-i], slices.Index(other.values, value))
	}
	if value != 0 {
		l.values, l.fresh = []int{value}, false
	}
	if two.syncHasFailed() { // what was read from the page cache may not survive
		l.values = []int{0, value}
	}
	two.stores[i], two.moving[i], two.taken[i] = l, none, -1
}

// syncHasFailed reports whether a sync of a file has failed.
func (two *twoStores) syncHasFailed() bool {
	names := two.p.OpNames()
	if two.failingAt < 0 || two.failingAt >= len(names) {
		return false
	}
	op, _, _ := strings.Cut(names[two.failingAt], " ")
	return op == "Sync" || op == "SyncData"
}

// startOn opens and loads the file of l.
func (l *life) startOn(fsys durable.FS) (value int, err error) {
	if l.file, err = durable.Open(fsys, backup, 0); err != nil {
		return 0, err
	}
	if err = l.file.Load(readState(&value)); err != nil {
		_ = l.file.Close()
	}
	return value, err
}

// do has store i carry out an action: one of a life, or "reopen".
func (two *twoStores) do(i int, action string) (err error) {
	was := two.active
	two.active = i
	if action == "reopen" {
		two.open(i)
	} else {
		err = two.stores[i].do(action)
	}
	two.active = was
	return err
}

// check has the power fail in front of an operation, and notes the stage of a move.
func (two *twoStores) check(op, name string) {
	now := &two.moving[two.active]
	if *now == syncing {
		*now = none // the sync has been done
	}
	two.requireKept()
	if two.p.Ops()-1 == two.failingAt {
		if op == "Fstat" && two.stores[two.active].appending {
			// Without the stat of A4 a File takes its own line for a stranger's, and the
			// copy of that line takes the place of the copy of the other store's file.
			two.p.Heal()
		}
		return // the operation is not done
	}
	switch {
	case op == "Rename" && name == previous:
		*now = copied
	case op == "Rename" && name == backup && *now == copied:
		*now = renamed
	case op == "SyncDir" && *now == renamed:
		*now = syncing
	}
}

func (two *twoStores) requireKept() {
	a, b := two.stores[0], two.stores[1]
	if a == nil || b == nil || len(two.lost) > 0 {
		return
	}
	owed := fmt.Sprintln(a.values[a.acked:], b.values[b.acked:], two.moving, two.taken)
	if !two.isNew(owed + two.disk.State()) {
		return
	}
	for image := range two.disk.Crashes() {
		two.images++
		if two.isNew(owed + image.Fingerprint()) {
			two.requireKeptOn(image)
		}
	}
}

func (two *twoStores) isNew(key string) bool {
	tried := two.tried[key]
	two.tried[key] = true
	return !tried
}

// requireKeptOn requires that files of the disk have the newest acknowledged value of each
// store, or a newer one, and that a load gives a state.
func (two *twoStores) requireKeptOn(image *durabletest.Disk) {
	var there []int
	for _, name := range []string{backup, handOver, previous} {
		data, _ := image.ReadFile(name)
		if value, err := decoded(string(data)); err == nil {
			there = append(there, value)
		}
	}
	for i, store := range two.stores {
		found := slices.ContainsFunc(store.values[store.acked:], func(value int) bool {
			return value == 0 || slices.Contains(there, value)
		})
		switch {
		case found, store.acked <= two.taken[i]:
		case two.excusing && two.moving[i] != none:
			two.excused++
		default:
			two.fails("store %d: %+v is not in %v", i, store.history, there)
		}
	}
	p := image.Process()
	defer durable.Forget(p)
	if _, err := new(life).startOn(p); err != nil {
		two.fails("load: %v", err)
	}
}

// run spreads the actions of the second store over the operations of the first, from
// operation at on, and reports whether the first had so many.
func (two *twoStores) run(mine, others []string, at, gap int) (more bool) {
	ops, inHook := 0, false
	act := func() {
		action := others[0]
		others = others[1:]
		inHook = true
		if err := two.do(1, action); err != nil && two.failingAt < 0 {
			two.fails("%s: %v", action, err)
		}
		inHook = false
	}
	first := two.p.Ops()
	if two.failingAt >= 0 {
		two.failingAt += first
		two.p.FailAt(two.failingAt, syscall.EIO, false)
	}
	two.p.Before(func(op, name string) {
		two.check(op, name)
		if inHook {
			return
		}
		ops++
		if len(others) > 0 && ops > at && (ops-at)%gap == 0 && !durable.Busy(two.stores[0].file) {
			act()
		}
	})
	for _, action := range mine {
		if err := two.do(0, action); err != nil && two.failingAt < 0 {
			two.fails("%s: %v", action, err)
		}
	}
	more = ops > at
	for len(others) > 0 {
		act()
		two.requireKept()
	}
	two.p.Heal()
	two.goOn()
	two.end()
	return more
}

// goOn requires that both stores can go on.
func (two *twoStores) goOn() {
	two.failingAt = -1
	for _, i := range []int{0, 1, 0} {
		_ = two.do(i, "set")
		if err := two.do(i, "sync"); err != nil {
			two.fails("store %d on a healthy disk: %v", i, err)
		}
		two.requireKept()
	}
	for _, store := range two.stores {
		_ = store.file.Close()
	}
	if n := two.p.OpenHandles(); n > 0 {
		two.fails("%d open handles", n)
	}
}

func (two *twoStores) end() {
	two.p.Before(nil)
	two.p.Kill()
	durable.Forget(two.fsys)
}

var twoScripts = [][]string{
	{"set", "sync", "set", "sync", "backup"},
	{"set", "backup", "sync", "set", "sync"},
	{"set", "sync", "close", "set", "sync"},
}

// otherScripts are the actions of the second store.
var otherScripts = append([][]string{
	{"set", "sync", "reopen", "sync", "set", "sync"},
	{"reopen", "set", "ahead", "sync"},
}, twoScripts...)

// A twoModel carries out two stores in many orders.
type twoModel struct {
	plant             func(p *durabletest.Process) durable.FS
	excusing          bool
	schedules, images int
	excused           int
	lost              []string
}

func newTwoModel() *twoModel {
	return &twoModel{plant: func(p *durabletest.Process) durable.FS { return p }, excusing: true}
}

// everywhere has the second store begin in front of each by-th operation of the first, and
// act again after every gap operations.
func (m *twoModel) everywhere(by, gap int) {
	for i, mine := range twoScripts {
		for j, others := range otherScripts {
			for at, more := (i+j)%by, true; more && len(m.lost) == 0; at += by {
				more = m.run(mine, others, at, gap, -1)
			}
		}
	}
}

func (m *twoModel) run(mine, others []string, at, gap, fails int) (more bool) {
	two := newTwoStores(m.plant)
	two.excusing, two.failingAt = m.excusing, fails
	more = two.run(mine, others, at, gap)
	m.schedules, m.images, m.excused, m.lost = m.schedules+1, m.images+two.images, m.excused+two.excused, two.lost
	if len(m.lost) > 0 {
		m.lost = append(m.lost, fmt.Sprintf("%v and %v, at %d, gap %d, operation %d fails", mine, others, at, gap, fails))
	}
	return more
}

// everyFault has each by-th operation fail, too.
func (m *twoModel) everyFault(by int) {
	for i, mine := range twoScripts {
		for j, others := range otherScripts {
			for at, more := (i+j)%by, true; more && len(m.lost) == 0; at += by {
				for fails := at % by; fails < maxOps && len(m.lost) == 0; fails += by {
					more = m.run(mine, others, at, 2, fails)
				}
			}
		}
	}
}

// maxOps is more operations than two stores have in one run.
const maxOps = 250

// Two stores of one process on one path take turns at every operation. A power cut leaves
// the data of both. docs/design.md, "Errors", has the only exception.
func TestTwoStoresInAllOrders(t *testing.T) {
	t.Parallel()
	m := newTwoModel()
	for _, gap := range []int{1, 5} {
		m.everywhere(sampled(29), gap)
	}
	require.Empty(t, m.lost)
	require.Positive(t, m.excused, "or the exception is none")
	t.Logf("%d schedules, %d disks without power, %d excused", m.schedules, m.images, m.excused)
}

func TestTwoStoresAndAnError(t *testing.T) {
	t.Parallel()
	by := 131
	if deep() {
		by = 5
	}
	m := newTwoModel()
	m.everyFault(by)
	require.Empty(t, m.lost)
	t.Logf("%d schedules, %d disks without power, %d excused", m.schedules, m.images, m.excused)
}

package durable_test

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// spoiled is a file system on which the handles of new files have a bug. The registry
// compares it by its address.
type spoiled struct {
	durable.FS
	spoil func(fsys durable.FS, h durable.Handle) durable.Handle
}

func (s *spoiled) Create(name string) (durable.Handle, error) {
	h, err := s.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return s.spoil(s.FS, h), nil
}

func spoil(spoil func(fsys durable.FS, h durable.Handle) durable.Handle) func(*durabletest.Process) durable.FS {
	return func(p *durabletest.Process) durable.FS { return &spoiled{p, spoil} }
}

// lazy does not sync steps.
type lazy struct{ durable.Handle }

func (lazy) SyncData() error { return nil }

// forgiving takes a failed sync of a step for a success.
type forgiving struct{ durable.Handle }

func (h forgiving) SyncData() error {
	_ = h.Handle.SyncData()
	return nil
}

// syncedOnce does not sync the steps of a catching-up.
type syncedOnce struct {
	durable.Handle
	synced bool
}

func (h *syncedOnce) Sync() error {
	if h.synced {
		return nil
	}
	h.synced = true
	return h.Handle.Sync()
}

// removing removes the old backup before it gives its name to the new one.
type removing struct{ durable.FS }

func (r removing) Rename(from, to string) error {
	if to == backup {
		_ = r.FS.Remove(backup)
	}
	return r.FS.Rename(from, to)
}

// unkept does not keep the file of another program or store.
type unkept struct{ durable.FS }

func (u unkept) Rename(from, to string) error {
	if to == previous {
		return u.FS.Remove(from)
	}
	return u.FS.Rename(from, to)
}

// blind is a file system on which an Append finds the file unchanged in its first look,
// in its second, or in both.
type blind struct {
	*durabletest.Process
	first, second bool
	life          *life

	left  fs.FileInfo // the newest description of a new file
	wrote bool        // the Append has written its line
}

func (b *blind) Create(name string) (durable.Handle, error) {
	h, err := b.Process.Create(name)
	if err != nil {
		return nil, err
	}
	return blindHandle{h, b}, nil
}

func (b *blind) Stat(name string) (fs.FileInfo, error) {
	info, err := b.Process.Stat(name)
	if name != backup || b.life == nil || !b.life.appending {
		return info, err
	}
	isBlind := b.first
	if b.wrote {
		isBlind = b.second
	}
	if b.wrote = false; isBlind && b.left != nil && !errors.Is(err, durabletest.ErrKilled) {
		return b.left, nil
	}
	return info, err
}

type blindHandle struct {
	durable.Handle
	of *blind
}

func (h blindHandle) Stat() (fs.FileInfo, error) {
	info, err := h.Handle.Stat()
	h.of.left = info
	return info, err
}

func (h blindHandle) SyncData() error {
	h.of.wrote = true
	return h.Handle.SyncData()
}

// A plantedOrder is a wrong order of operations, with the runs of the model to find it.
type plantedOrder struct {
	plant   func(p *durabletest.Process) durable.FS
	mistake mistake
	find    func(m *journalModel) // nil for everything
}

// withStrangers runs the scripts with other programs at work, until something is lost.
func (m *journalModel) withStrangers() {
	for _, script := range strangerScripts {
		for _, name := range slices.Sorted(maps.Keys(strangerActs)) {
			m.everyDisturbance(1, 1, script, strangerActs[name])
		}
	}
}

// quickest finds mistakes that everything finds late.
var quickest = map[mistake]func(m *journalModel){
	"append after a failed one": func(m *journalModel) { m.everyDisturbance(1, 1, journalScripts[1], failOnce) },
	"ack of what was loaded":    func(m *journalModel) { m.everyDisturbance(1, 1, shortScripts[1], failFromNowOn) },
	"a step beside a Close":     func(m *journalModel) { m.everyInjection(1, 1, shortScripts[2]) },
}

func TestTheJournalModelFindsPlantedBugs(t *testing.T) {
	forgetting := func(change string) func(p *durabletest.Process) durable.FS {
		return func(p *durabletest.Process) durable.FS { return noSyncAfter{p, change} }
	}
	looking := func(first, second bool) func(p *durabletest.Process) durable.FS {
		return func(p *durabletest.Process) durable.FS {
			return &blind{Process: p, first: first, second: second}
		}
	}
	plants := map[string]plantedOrder{
		"A2, no first look":               {plant: looking(true, false), find: (*journalModel).withStrangers},
		"A6, no second look":              {plant: looking(false, true), find: (*journalModel).withStrangers},
		"A2 and A6, no look":              {plant: looking(true, true), find: (*journalModel).withStrangers},
		"A5, a step is not synced":        {plant: spoil(func(_ durable.FS, h durable.Handle) durable.Handle { return lazy{h} })},
		"A5, a failed sync is forgiven":   {plant: spoil(func(_ durable.FS, h durable.Handle) durable.Handle { return forgiving{h} })},
		"W3, base not synced":             {plant: func(p *durabletest.Process) durable.FS { return noSync{p} }},
		"W6, catch-up not synced":         {plant: spoil(func(_ durable.FS, h durable.Handle) durable.Handle { return &syncedOnce{Handle: h} })},
		"W8, copy left out":               {plant: func(p *durabletest.Process) durable.FS { return unkept{p} }, find: (*journalModel).withStrangers},
		"W8, name of the copy not synced": {plant: forgetting("Rename .backup.json.tmp-* backup.json.prev"), find: (*journalModel).withStrangers},
		"W10, backup not synced":          {plant: forgetting("Rename .backup.json.tmp-* backup.json")},
		"L7, hand-over not synced":        {plant: forgetting("Rename backup.json backup.json.loaded")},
		"P removed first":                 {plant: func(p *durabletest.Process) durable.FS { return hasty{p} }},
		"M removed first":                 {plant: func(p *durabletest.Process) durable.FS { return removing{p} }},
	}
	for _, name := range []mistake{
		"view before the mutex", "catch-up left out", "catch-up only to last", "catch-up to an older last",
		"catch-up from last", "catch-up only if live", "catch-up only after a step", "ack before W9", "ack before W10",
		"mutex let go", "last too early", "live after an error of W10", "append after a failed one", "two lines",
		"ack of what was loaded", "a step beside a Close",
	} {
		plants[string(name)] = plantedOrder{mistake: name, find: quickest[name]}
	}
	for name, planted := range plants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newJournalModel()
			m.mistake = planted.mistake
			if planted.plant != nil {
				m.plant = planted.plant
			}
			if planted.find == nil {
				planted.find = (*journalModel).everything
			}
			planted.find(m)
			t.Logf("%d schedules, %d disks: %.300v", m.runs, m.images, m.lost)
			require.NotEmpty(t, m.lost)
		})
	}
}

// everything runs all scripts until something is lost, the fast ones first. Other tests run
// all of them without a plant, and lose nothing.
func (m *journalModel) everything() {
	for _, script := range allScripts {
		m.everyDisturbance(1, 1, script, failOnce)
		m.everyInjection(1, 1, script)
	}
	for _, script := range allScripts {
		m.everyDisturbance(1, 1, script, failFromNowOn)
		m.everyDisturbance(1, 1, script, kill)
	}
}

// blindToBoth is a file system on which the Append of either store finds the file unchanged.
type blindToBoth struct {
	*durabletest.Process
	two  *twoStores
	left [2]fs.FileInfo
}

func (b *blindToBoth) Create(name string) (durable.Handle, error) {
	h, err := b.Process.Create(name)
	if err != nil || b.two == nil {
		return h, err
	}
	return watched{h, &b.left[b.two.active]}, nil
}

func (b *blindToBoth) Stat(name string) (fs.FileInfo, error) {
	if name == backup && b.two != nil {
		if i := b.two.active; b.two.stores[i].appending && b.left[i] != nil {
			return b.left[i], nil
		}
	}
	return b.Process.Stat(name)
}

type watched struct {
	durable.Handle
	left *fs.FileInfo
}

func (h watched) Stat() (fs.FileInfo, error) {
	info, err := h.Handle.Stat()
	*h.left = info
	return info, err
}

func TestTheModelOfTwoStoresFindsPlantedBugs(t *testing.T) {
	for name, plant := range map[string]func(m *twoModel){
		"no look": func(m *twoModel) {
			m.plant = func(p *durabletest.Process) durable.FS { return &blindToBoth{Process: p} }
		},
		"W8, copy left out": func(m *twoModel) {
			m.plant = func(p *durabletest.Process) durable.FS { return unkept{p} }
		},
		"W8, name of the copy not synced": func(m *twoModel) {
			m.plant = func(p *durabletest.Process) durable.FS {
				return noSyncAfter{p, "Rename .backup.json.tmp-* backup.json.prev"}
			}
		},
		"W10, backup not synced": func(m *twoModel) {
			m.plant = func(p *durabletest.Process) durable.FS {
				return noSyncAfter{p, "Rename .backup.json.tmp-* backup.json"}
			}
		},
		"no exception": func(m *twoModel) { m.excusing = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTwoModel()
			plant(m)
			m.everywhere(29, 1) // as TestTwoStoresInAllOrders does
			t.Logf("%d schedules, %d disks: %.300v", m.schedules, m.images, m.lost)
			require.NotEmpty(t, m.lost)
		})
	}
}

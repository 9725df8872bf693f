package durable_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// The bugs of this file are planted to see that the model finds them.

// noSync is a file system on which files are not synced.
type noSync struct{ durable.FS }

func (n noSync) Create(name string) (durable.Handle, error) {
	h, err := n.FS.Create(name)
	return noSyncHandle{h}, err
}

func (n noSync) Open(name string) (durable.Handle, error) {
	h, err := n.FS.Open(name)
	return noSyncHandle{h}, err
}

type noSyncHandle struct{ durable.Handle }

func (noSyncHandle) Sync() error { return nil }

// noSyncOfLoaded does not sync what is loaded.
type noSyncOfLoaded struct{ durable.FS }

func (n noSyncOfLoaded) Open(name string) (durable.Handle, error) { return noSync(n).Open(name) }

// noSyncDir is a file system on which directories are not synced.
type noSyncDir struct{ durable.FS }

func (noSyncDir) SyncDir(string) error { return nil }

// noSyncAfter is a file system on which the directory is not synced after a
// change, such as "Rename backup.json.loaded backup.json.prev".
type noSyncAfter struct {
	*durabletest.Process
	change string
}

func (n noSyncAfter) SyncDir(dir string) error {
	if n.newest() == n.change {
		return nil
	}
	return n.Process.SyncDir(dir)
}

// newest returns the newest change of the directory.
func (n noSyncAfter) newest() string {
	names := n.OpNames()
	for _, op := range slices.Backward(names) {
		for _, change := range []string{"Create ", "Rename ", "Remove "} {
			if strings.HasPrefix(op, change) {
				return op
			}
		}
	}
	return ""
}

// hasty removes the hand-over file before the backup's name is durable.
type hasty struct{ durable.FS }

func (h hasty) Rename(from, to string) error {
	err := h.FS.Rename(from, to)
	if err == nil && to == backup {
		_ = h.FS.Remove(handOver)
	}
	return err
}

// clearInPlace loads as one would who has not thought of the power.
func clearInPlace(disk *durabletest.Disk, fsys durable.FS) (f *durable.File, loaded string, err error) {
	if f, err = durable.Open(fsys, backup, 0); err != nil {
		return nil, "", err
	}
	data, _ := disk.ReadFile(backup)
	disk.Truncate(backup)
	return f, string(data), nil
}

func TestTheModelFindsPlantedBugs(t *testing.T) {
	forgetting := func(change string) func(*model) {
		return func(m *model) {
			m.plant = func(_ *durabletest.Disk, p *durabletest.Process) durable.FS { return noSyncAfter{p, change} }
		}
	}
	for name, plant := range map[string]func(*model){
		"W3, no sync of files": func(m *model) {
			m.plant = func(_ *durabletest.Disk, p *durabletest.Process) durable.FS { return noSync{p} }
		},
		"no sync of directories": func(m *model) {
			m.plant = func(_ *durabletest.Disk, p *durabletest.Process) durable.FS { return noSyncDir{p} }
		},
		"W8, copy not synced":            forgetting("Rename .backup.json.tmp-* backup.json.prev"),
		"W10, backup not synced":         forgetting("Rename .backup.json.tmp-* backup.json"),
		"L4, name of source not synced":  forgetting("Create .backup.json.tmp-*"),
		"L5, older hand-over not synced": forgetting("Rename backup.json.loaded backup.json.prev"),
		"L7, hand-over not synced":       forgetting("Rename backup.json backup.json.loaded"),
		"hand-over file removed too soon": func(m *model) {
			m.plant = func(_ *durabletest.Disk, p *durabletest.Process) durable.FS { return hasty{p} }
		},
		"cleared in place": func(m *model) { m.start = clearInPlace },
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			plant(m)
			m.disturb = (*durabletest.Process).Kill
			for _, steps := range sequences {
				m.everywhere(1, steps...)
			}
			t.Logf("%d of %d disks", len(m.lost), m.images)
			require.NotEmpty(t, m.lost)
		})
	}
}

func TestAnUnsyncedEditWouldBeLost(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	editByRename(t, disk, "edited")
	p := unstarted(t, disk)
	p.fsys = noSyncOfLoaded{p.Process}
	p.restart("edited")
	var all []string
	for image := range disk.Crashes() {
		all = append(all, recovered(t, image))
	}
	require.Contains(t, all, "edi", "half")
	require.Contains(t, all, "", "none")
}

// lockless is a file system on which every process gets every lock.
type lockless struct{ durable.FS }

func (l lockless) OpenLock(name string) (durable.Handle, error) {
	h, err := l.FS.OpenLock(name)
	return locklessHandle{h}, err
}

type locklessHandle struct{ durable.Handle }

func (locklessHandle) Lock() error { return nil }

// Without a lock both load the contents, and the newer backup of the one is
// replaced by the older of the other.
func TestWithoutLocksTwoProcessesLoadTheSame(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	newProcess(t, disk, "old")
	second := unstarted(t, disk)
	require.ErrorIs(t, load(second), durable.ErrInUse)
	second.fsys = lockless{second.Process}
	second.restart("old")
}

package durable_test

import (
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
	for name, plant := range map[string]func(*model){
		"no sync of files": func(m *model) {
			m.plant = func(_ *durabletest.Disk, p *durabletest.Process) durable.FS { return noSync{p} }
		},
		"no sync of directories": func(m *model) {
			m.plant = func(_ *durabletest.Disk, p *durabletest.Process) durable.FS { return noSyncDir{p} }
		},
		"hand-over file removed too soon": func(m *model) {
			m.plant = func(_ *durabletest.Disk, p *durabletest.Process) durable.FS { return hasty{p} }
		},
		"cleared in place": func(m *model) { m.start = clearInPlace },
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			plant(m)
			m.run(1, sequence...)
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

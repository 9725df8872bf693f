package durable_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

type files = map[string]string

func TestLoadEmptiesTheFileAndKeepsItsContents(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	requireFiles(t, disk, files{backup: "", handOver: "old"})
	p.commit("new")
	requireFiles(t, disk, files{backup: "new"})
}

func TestTheSecondProcessStartsEmpty(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	newProcess(t, disk, "old")
	second := newProcess(t, disk, "")
	second.commit("second")
	requireFiles(t, disk, files{backup: "second", handOver: "old"})
}

func TestTheSecondStoreOfAProcessStartsEmpty(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	first := p.file
	p.restart("")
	require.NoError(t, commit(first, "first"))
	requireFiles(t, disk, files{backup: "first"})
	p.restart("first")
}

func TestAKilledProcessGivesUpWhatItLoaded(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	for range 3 {
		newProcess(t, disk, "old").kill()
	}
	p := newProcess(t, disk, "old")
	newProcess(t, disk, "").kill()
	p.kill()
	newProcess(t, disk, "old").commit("new")
	requireFiles(t, disk, files{backup: "new"})
}

func TestABackupOutlivesItsWriter(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	p.commit("one")
	p.kill()
	p = newProcess(t, disk, "one")
	p.commit("two")
	p.commit("three")
	newProcess(t, disk, "three")
}

// A process that loaded the hand-over file long ago does not own what another
// has put in its place.
func TestOwnershipIsOfAFileNotOfAName(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	first := newProcess(t, disk, "old")
	second := newProcess(t, disk, "")
	second.commit("second")
	third := newProcess(t, disk, "second")
	requireFiles(t, disk, files{backup: "", handOver: "second", previous: "old"})
	third.kill()
	first.restart("second")
}

// A backup that another process finishes while this one loads is not lost,
// whenever it comes.
func TestACommitDuringALoadSurvives(t *testing.T) {
	for _, name := range []string{"from the file", "from the hand-over file"} {
		t.Run(name, func(t *testing.T) {
			for op := 0; ; op++ {
				disk := durabletest.NewDisk()
				disk.WriteFile(backup, []byte("old"))
				owner := newProcess(t, disk, "old")
				writer := newProcess(t, disk, "")
				if name == "from the file" {
					owner.commit("older")
				} else {
					owner.kill()
				}
				loader := disk.Process()
				loader.Before(func(string, string) {
					if loader.Ops() == op+1 {
						writer.commit("newer")
					}
				})
				_, loaded, err := start(loader, backup)
				require.NoError(t, err)
				loader.Kill()
				if loader.Ops() <= op {
					return
				}
				_, recovered, err := start(disk.Process(), backup)
				require.NoError(t, err)
				require.Equal(t, "newer", recovered, "written before op %d, %s; then loaded %q", op, loader.OpNames()[op], loaded)
				writer.kill()
				owner.kill()
			}
		})
	}
}

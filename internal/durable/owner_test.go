package durable_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
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

// Where there are no locks, the process knows by itself what it owns.
func TestTheSecondStoreStartsEmptyWithoutLocks(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := unstarted(t, disk)
	p.fsys = lockless{p.Process}
	p.restart("old")
	p.restart("")
	p.commit("new")
	p.restart("new")
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

func TestAForeignFileIsKept(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	p.commit("one")
	p.commit("two")
	requireFiles(t, disk, files{backup: "two"})

	disk.WriteFile(backup, nil)
	p.commit("three")
	requireFiles(t, disk, files{backup: "three"})

	disk.WriteFile(backup, []byte("foreign"))
	p.commit("four")
	p.commit("five")
	requireFiles(t, disk, files{backup: "five", previous: "foreign"})
}

func TestAnOlderHandOverFileIsKept(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(handOver, []byte("older"))
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	requireFiles(t, disk, files{backup: "", handOver: "old", previous: "older"})
	p.commit("new")
	requireFiles(t, disk, files{backup: "new", previous: "older"})
}

// What somebody else has put in the place of the hand-over file is not ours to
// remove.
func TestAForeignHandOverFileStays(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	disk.WriteFile(handOver, []byte("foreign"))
	p.commit("new")
	requireFiles(t, disk, files{backup: "new", handOver: "foreign"})
}

func TestIntact(t *testing.T) {
	for name, test := range map[string]struct {
		change func(disk *durabletest.Disk)
		want   bool
	}{
		"left alone": {func(*durabletest.Disk) {}, true},
		"replaced":   {func(disk *durabletest.Disk) { disk.WriteFile(backup, []byte("same size")) }, false},
		"truncated":  {func(disk *durabletest.Disk) { disk.Truncate(backup) }, false},
		"removed":    {func(disk *durabletest.Disk) { _ = disk.Process().Remove(backup) }, false},
		"appended to": {func(disk *durabletest.Disk) {
			h, _, _ := disk.Process().Own(backup)
			_, _ = h.Write([]byte("more"))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			disk := durabletest.NewDisk()
			disk.WriteFile(backup, []byte("as loaded"))
			p := newProcess(t, disk, "as loaded")
			require.True(t, p.file.Intact(), "after the load")
			p.commit("same size")
			require.True(t, p.file.Intact(), "after the backup")
			test.change(disk)
			require.Equal(t, test.want, p.file.Intact())
		})
	}
}

func TestNothingIsIntactBeforeThereIsAFile(t *testing.T) {
	p := newProcess(t, durabletest.NewDisk(), "")
	require.False(t, p.file.Intact())
}

// A file that cannot be read whole stays where it is, and so does the other.
func TestAReadThatFailsMovesNothing(t *testing.T) {
	bad := errors.New("bad contents")
	for name, before := range map[string]files{
		"file":               {backup: "x"},
		"file and hand-over": {backup: "x", handOver: "y"},
		"hand-over":          {backup: "", handOver: "y"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := durabletest.NewDisk()
			for name, contents := range before {
				disk.WriteFile(name, []byte(contents))
			}
			p := unstarted(t, disk)
			file, err := durable.Open(p.fsys, backup)
			require.NoError(t, err)
			read := ""
			err = file.Load(func(name string, _ io.Reader) error {
				read = name
				return bad
			})
			require.ErrorIs(t, err, bad)
			requireFiles(t, disk, before)
			if before[backup] == "" {
				require.Equal(t, file.HandOver(), read)
			} else {
				require.Equal(t, file.Path(), read)
			}
			require.Equal(t, len(before[backup])*len(before[handOver]) > 0, strings.Contains(err.Error(), handOver),
				"the error names the other file where there is one")
			p.kill()
			require.NotEmpty(t, recovered(t, disk), "no lock is left either")
		})
	}
}

func TestAFileThatGoesAwayDuringALoad(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := unstarted(t, disk)
	p.Before(func(op, name string) {
		if op == "Rename" && name == handOver {
			p.Before(nil)
			_ = disk.Process().Remove(backup)
		}
	})
	p.restart("")
	p.commit("new")
	requireFiles(t, disk, files{backup: "new"})
}

// An editor takes no locks. What it saves while a process loads is loaded, or
// stays where it is, or is kept.
func TestAnEditDuringALoad(t *testing.T) {
	for op := 0; ; op++ {
		disk := durabletest.NewDisk()
		disk.WriteFile(backup, []byte("old"))
		p := unstarted(t, disk)
		p.Before(func(string, string) {
			if p.Ops() == op+1 {
				disk.WriteFile(backup, []byte("edited"))
			}
		})
		file, loaded, err := start(p.fsys, backup)
		require.NoError(t, err)
		if p.Ops() <= op {
			return
		}
		edit := p.OpNames()[op]
		require.Contains(t, []string{"old", "edited"}, loaded, edit)
		there, _ := disk.ReadFile(backup)
		if len(there) == 0 {
			require.Equal(t, "edited", loaded, edit)
			there, _ = disk.ReadFile(handOver)
		}
		require.Equal(t, "edited", string(there), edit)

		require.NoError(t, commit(file, "new"))
		if loaded != "edited" {
			kept, _ := disk.ReadFile(previous)
			require.Equal(t, "edited", string(kept), edit)
		}
		p.kill()
	}
}

func TestAnEditRightAfterABackupIsKept(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	renamed := false
	p.Before(func(op, name string) {
		if renamed {
			p.Before(nil)
			disk.WriteFile(backup, []byte("edited"))
		}
		renamed = op == "Rename" && name == backup
	})
	p.commit("one")
	require.False(t, p.file.Intact())
	p.commit("two")
	requireFiles(t, disk, files{backup: "two", previous: "edited"})
}

func TestAFileThatIsEmptiedBeforeItCouldBeKept(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(previous, []byte("kept before"))
	p := newProcess(t, disk, "")
	disk.WriteFile(backup, []byte("foreign"))
	p.Before(func(op, name string) {
		if op == "Own" {
			disk.WriteFile(backup, nil)
		}
	})
	p.commit("new")
	requireFiles(t, disk, files{backup: "new", previous: "kept before"})
}

func TestOnlyTempsOfTheDeadAreSwept(t *testing.T) {
	disk := durabletest.NewDisk()
	for _, name := range []string{
		"/disk/.backup.json.tmp-1", "/disk/.backup.json.tmp-", "/disk/.backup.json.tm", "/disk/backup.json.tmp-1",
		"/disk/.other.json.tmp-1", "/elsewhere/.backup.json.tmp-1",
	} {
		disk.WriteFile(name, []byte("x"))
	}
	p := newProcess(t, disk, "")
	pending, err := p.file.Create()
	require.NoError(t, err)
	dying := newProcess(t, disk, "")
	_, err = dying.file.Create()
	require.NoError(t, err)
	require.Len(t, temps(disk), 5)
	dying.kill()

	newProcess(t, disk, "")
	require.Len(t, temps(disk), 4)
	require.Subset(t, disk.Names(), []string{
		"/disk/.backup.json.tm", "/disk/backup.json.tmp-1", "/disk/.other.json.tmp-1", "/elsewhere/.backup.json.tmp-1",
	})
	_, err = io.WriteString(pending, "new")
	require.NoError(t, err)
	require.NoError(t, pending.Commit())
	require.Equal(t, "new", recovered(t, disk))
}

func TestAbortLeavesNothing(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	pending, err := p.file.Create()
	require.NoError(t, err)
	_, err = io.WriteString(pending, "new")
	require.NoError(t, err)
	pending.Abort()
	requireFiles(t, disk, files{backup: "", handOver: "old"})
}

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

func TestLoadEmptiesTheFileAndKeepsItsContents(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	requireFiles(t, disk, files{backup: "", handOver: "old"})
	p.commit("new")
	requireFiles(t, disk, files{backup: "new"})
}

func TestTheSecondStoreOfAProcessStartsEmpty(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	first := p.file
	p.restart("")
	require.NoError(t, commitBlank(p.file))
	requireFiles(t, disk, files{backup: "", handOver: "old"})
	p.commit("second")
	requireFiles(t, disk, files{backup: "second", handOver: "old"})
	require.NoError(t, commit(first, "first"))
	requireFiles(t, disk, files{backup: "first", previous: "second"})
	p.restart("first")
}

func TestAKilledProcessGivesUpWhatItLoaded(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	for range 3 {
		newProcess(t, disk, "old").kill()
	}
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
	require.NoError(t, p.file.Close())
	newProcess(t, disk, "three")
}

// A store that has let go does not own what it has loaded before.
func TestALoadAfterTheLoaderHasClosed(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	first := p.file
	p.restart("") // keeps the lock
	require.NoError(t, first.Close())
	p.restart("old")
	require.NoError(t, commit(first, "first"))
	requireFiles(t, disk, files{backup: "first", handOver: "old"})
	p.commit("third")
	requireFiles(t, disk, files{backup: "third", previous: "first"})
}

func TestAForeignFileIsKept(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	p.commit("one")
	p.commit("two")
	requireFiles(t, disk, files{backup: "two"})

	disk.WriteFile(backup, []byte("foreign"))
	p.commit("three")
	p.commit("four")
	requireFiles(t, disk, files{backup: "four", previous: "foreign"})
}

// Files without contents are replaced, and never take the place of Previous.
func TestOnlyContentsAreKept(t *testing.T) {
	for _, blank := range []string{"", "{}", "{ \n}\n", "\n", " \t\r\n"} {
		disk := durabletest.NewDisk()
		disk.WriteFile(previous, []byte("kept before"))
		p := newProcess(t, disk, "")
		disk.WriteFile(backup, []byte(blank))
		p.commit("one")
		requireFiles(t, disk, files{backup: "one", previous: "kept before"})
		disk.WriteFile(handOver, []byte(blank))
		p.kill()
		newProcess(t, disk, "one")
		requireFiles(t, disk, files{backup: "", handOver: "one", previous: "kept before"})
	}
	for _, full := range []string{"x", `{"a":"b"}`, "{}{}", "{", "}", "\x00", strings.Repeat(" ", 4097), "{}" + strings.Repeat("\n", 4096) + "x"} {
		disk := durabletest.NewDisk()
		disk.WriteFile(previous, []byte("kept before"))
		p := newProcess(t, disk, "")
		disk.WriteFile(backup, []byte(full))
		p.commit("one")
		requireFiles(t, disk, files{backup: "one", previous: full})
	}
}

// The copy is of all contents, also where they are more than is looked at to find
// out whether there are any.
func TestALargeFileIsKeptWhole(t *testing.T) {
	for _, size := range []int{4095, 4096, 4097, 100_000} {
		disk := durabletest.NewDisk()
		p := newProcess(t, disk, "")
		disk.WriteFile(backup, []byte(strings.Repeat("x", size)))
		p.commit("one")
		kept, _ := disk.ReadFile(previous)
		require.Equal(t, strings.Repeat("x", size), string(kept))
	}
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

// A file that another program has put in the place of the hand-over file stays.
func TestAForeignHandOverFileStays(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	disk.WriteFile(handOver, []byte("foreign"))
	p.commit("new")
	p.commit("newer")
	requireFiles(t, disk, files{backup: "newer", handOver: "foreign"})
}

// The next Commit removes a hand-over file that could not be removed.
func TestTheRemovalOfTheHandOverFileIsTriedAgain(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := newProcess(t, disk, "old")
	p.on("Remove", ".loaded", errors.New("not now"))
	p.commit("new")
	requireFiles(t, disk, files{backup: "new", handOver: "old"})
	p.Before(nil)
	p.commit("newer")
	requireFiles(t, disk, files{backup: "newer"})
}

func TestIntact(t *testing.T) {
	for name, test := range map[string]struct {
		change func(disk *durabletest.Disk)
		want   bool
	}{
		"left alone":  {func(*durabletest.Disk) {}, true},
		"replaced":    {func(disk *durabletest.Disk) { disk.WriteFile(backup, []byte("same size")) }, false},
		"truncated":   {func(disk *durabletest.Disk) { disk.Truncate(backup) }, false},
		"removed":     {func(disk *durabletest.Disk) { _ = disk.Process().Remove(backup) }, false},
		"appended to": {func(disk *durabletest.Disk) { disk.Append(backup, "more") }, false},
		"touched":     {func(disk *durabletest.Disk) { disk.Append(backup, "") }, false},
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
			file, err := durable.Open(p.fsys, backup, 0)
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
			require.NoError(t, file.Close())
			require.NotEmpty(t, recovered(t, disk), "no lock is left either")
		})
	}
}

func TestAFileThatGoesAwayDuringALoad(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := unstarted(t, disk)
	p.Before(func(op, name string) {
		if op == "Create" && strings.Contains(name, ".tmp-") {
			p.Before(nil)
			_ = disk.Process().Remove(backup)
		}
	})
	p.restart("{}") // what was read first must go
	p.commit("new")
	requireFiles(t, disk, files{backup: "new"})
}

// A file that changes whenever it is looked at is not loaded, and is not moved.
func TestAFileThatChangesAgainAndAgain(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := unstarted(t, disk)
	p.Before(func(op, _ string) {
		if op == "SyncDir" {
			disk.WriteFile(backup, []byte("edited"))
		}
	})
	require.ErrorContains(t, load(p), "again and again")
	requireFiles(t, disk, files{backup: "edited"})

	p = newProcess(t, durabletest.NewDisk(), "")
	p.Before(func(op, name string) {
		if op == "SyncDir" {
			p.Before(nil)
		}
	})
	p.commit("new")
}

// An editor takes no locks. An edit while a process loads is loaded, or stays
// where it is, or is kept. The contents before it are loaded, or kept.
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
		require.Empty(t, temps(disk), edit)

		require.NoError(t, commit(file, "new"))
		if loaded != "edited" {
			kept, _ := disk.ReadFile(previous)
			require.Equal(t, "edited", string(kept), edit)
		}
		p.kill()
	}
}

// The load begins again after it has moved the file: nothing of either is lost.
func TestAnEditBetweenTheMoveAndTheEmptyFile(t *testing.T) {
	for edit, want := range map[string]files{
		"edited": {backup: "", handOver: "edited", previous: "old"},
		"":       {backup: "", handOver: "old"},
	} {
		disk := durabletest.NewDisk()
		disk.WriteFile(backup, []byte("old"))
		p := unstarted(t, disk)
		p.Before(func(op, name string) {
			if op == "Create" && name == backup {
				p.Before(nil)
				disk.WriteFile(backup, []byte(edit))
			}
		})
		loads := edit
		if edit == "" {
			loads = "old"
		}
		p.restart(loads)
		requireFiles(t, disk, want)
	}
}

// An edit in place, during a backup: at each operation the edit is in the file, or
// kept, unless it comes between the last look and the rename.
func TestAnEditDuringABackup(t *testing.T) {
	for op := 0; ; op++ {
		disk := durabletest.NewDisk()
		disk.WriteFile(backup, []byte("older"))
		p := newProcess(t, disk, "older")
		p.commit("old")
		first := p.Ops()
		p.Before(func(string, string) {
			if p.Ops() == first+op+1 {
				disk.Append(backup, "edited")
			}
		})
		p.commit("new")
		if p.Ops() <= first+op {
			return
		}
		edit := p.OpNames()[first+op]
		p.Before(nil)
		p.commit("newer")
		kept, _ := disk.ReadFile(previous)
		if !strings.HasPrefix(edit, "Rename ") {
			require.Contains(t, string(kept), "edited", edit)
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
		if op == "Open" && name == backup {
			disk.WriteFile(backup, nil)
		}
	})
	p.commit("new")
	requireFiles(t, disk, files{backup: "new", previous: "kept before"})
}

func TestABlankBackupReplacesNoContents(t *testing.T) {
	for name, test := range map[string]struct{ before, after files }{
		"nothing":          {files{}, files{backup: "{}\n"}},
		"an empty file":    {files{backup: ""}, files{backup: "{}\n"}},
		"a blank file":     {files{backup: "{ }"}, files{backup: "{}\n"}},
		"a file":           {files{backup: "x"}, files{backup: "x"}},
		"a hand-over file": {files{backup: "", handOver: "x"}, files{backup: "", handOver: "x"}},
		"blank hand-over":  {files{backup: "", handOver: "{}"}, files{backup: "{}\n", handOver: "{}"}},
	} {
		t.Run(name, func(t *testing.T) {
			disk := durabletest.NewDisk()
			p := newProcess(t, disk, "")
			for name, contents := range test.before {
				disk.WriteFile(name, []byte(contents))
			}
			require.NoError(t, commitBlank(p.file))
			requireFiles(t, disk, test.after)
		})
	}
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

// A Close between Create and Commit lets go of the lock. The Commit takes the lock
// again, and does not sweep its own temporary file.
func TestCommitAfterClose(t *testing.T) {
	disk := durabletest.NewDisk()
	f, err := durable.Open(disk.Process(), backup, 0)
	require.NoError(t, err)
	require.NoError(t, f.Load(func(string, io.Reader) error { return nil }))
	pending, err := f.Create()
	require.NoError(t, err)
	_, err = io.WriteString(pending, "new")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, pending.Commit())
	requireFiles(t, disk, files{backup: "new"})
	require.NoError(t, f.Close())
}

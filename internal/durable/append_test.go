package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// nothing is a line or a catching-up where the file has all that its caller wants.
func nothing() ([]byte, error) { return nil, nil }

func text(s string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(s), nil }
}

// commitLive writes a whole backup that Append may add lines to.
func commitLive(f *durable.File, contents, lines string) error {
	return write(f, contents, func(p *durable.Pending) error { return p.CommitLive(text(lines), func() {}) })
}

func appendLine(f *durable.File, line string) error { return f.Append(text(line)) }

// requireLive requires that a Sync with nothing to write is acknowledged, or is not. A
// file that is not live is not asked for a line.
func requireLive(t *testing.T, want bool, f *durable.File, why ...any) {
	t.Helper()
	asked := false
	err := f.Append(func() ([]byte, error) {
		asked = true
		return nil, nil
	})
	require.Equal(t, want, err == nil, why...)
	require.Equal(t, want, asked, why...)
	if !want {
		require.ErrorIs(t, err, durable.ErrNotLive, why...)
	}
}

// newLive starts a process with a live file.
func newLive(t *testing.T) (*durabletest.Disk, *process) {
	t.Helper()
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	require.NoError(t, commitLive(p.file, "base\n", ""))
	requireLive(t, true, p.file)
	return disk, p
}

func TestAppendAddsToTheFile(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	require.NoError(t, commitLive(p.file, "base\n", "caught up\n"))
	require.NoError(t, appendLine(p.file, "one\n"))
	requireLive(t, true, p.file)
	require.NoError(t, appendLine(p.file, "two\n"))
	require.True(t, p.file.Intact())
	requireFiles(t, disk, files{backup: "base\ncaught up\none\ntwo\n"})
	for image := range disk.Crashes() {
		require.Equal(t, "base\ncaught up\none\ntwo\n", recovered(t, image))
	}
	require.NoError(t, commitLive(p.file, "new\n", ""))
	require.NoError(t, appendLine(p.file, "three\n"))
	requireFiles(t, disk, files{backup: "new\nthree\n"})
	require.NoError(t, p.file.Close())
	require.Zero(t, p.OpenHandles())
}

// The line is asked for behind the look: what has been written until then is in it.
func TestTheOperationsOfAnAppend(t *testing.T) {
	const temp = ".backup.json.tmp-*"
	look := []string{"Stat backup.json.lock", "Stat backup.json"}
	_, p := newLive(t)
	for line, behind := range map[string][]string{
		"":       nil,
		"line\n": join([]string{"Write " + temp, "Fstat " + temp, "SyncData " + temp}, look),
	} {
		first, asked := p.Ops(), 0
		require.NoError(t, p.file.Append(func() ([]byte, error) {
			asked++
			require.Equal(t, look, p.OpNames()[first:])
			require.True(t, durable.Busy(p.file), "the mutex is locked")
			return []byte(line), nil
		}))
		require.Equal(t, 1, asked)
		require.Equal(t, join(look, behind), p.OpNames()[first:])
		require.False(t, durable.Busy(p.file))
	}
	require.NoError(t, p.file.Close())
	first := p.Ops()
	requireLive(t, false, p.file)
	require.Equal(t, first, p.Ops(), "a closed file has no look")
}

// The functions of the caller run under the mutex, and the new file is live once its name
// is durable. The old file is closed when the mutex is free.
func TestTheOperationsOfCommitLive(t *testing.T) {
	const temp = ".backup.json.tmp-*"
	for lines, caughtUp := range map[string][]string{
		"":       nil,
		"line\n": {"Write " + temp, "Sync " + temp},
	} {
		disk := durabletest.NewDisk()
		disk.WriteFile(backup, []byte("loaded\n"))
		p := newProcess(t, disk, "loaded\n")
		require.NoError(t, commitLive(p.file, "old\n", ""))
		var did []string
		p.Before(func(op, name string) {
			names := p.OpNames()
			did = append(did, names[len(names)-1])
			if op == "Close" {
				require.False(t, durable.Busy(p.file), "the mutex is free")
				require.NoError(t, appendLine(p.file, "behind\n"), "and the new file is live")
			}
		})
		calls := func(name string) {
			did = append(did, name)
			require.True(t, durable.Busy(p.file), "the mutex is locked")
		}
		require.NoError(t, write(p.file, "new\n", func(p *durable.Pending) error {
			return p.CommitLive(func() ([]byte, error) {
				calls("catchUp")
				return []byte(lines), nil
			}, func() { calls("installed") })
		}))
		p.Before(nil)
		require.Equal(t, join(
			[]string{
				"Stat backup.json.lock", "Create " + temp, "Fstat " + temp, // W2
				"Write " + temp,
				"Stat backup.json", "Chown " + temp, "Sync " + temp, // W3
				"Stat backup.json.lock", // W5
				"catchUp",
			},
			caughtUp,
			[]string{
				"Fstat " + temp,                         // W6
				"Stat backup.json",                      // W8
				"Rename .backup.json.tmp-* backup.json", // W9
				"SyncDir disk",                          // W10
				"installed",
				"Close " + temp,
			},
			[]string{ // the line of the hook
				"Stat backup.json.lock", "Stat backup.json", "Write " + temp, "Fstat " + temp, "SyncData " + temp,
				"Stat backup.json.lock", "Stat backup.json",
			},
		), did)
		requireFiles(t, disk, files{backup: "new\n" + lines + "behind\n"})
	}
}

// After the load of a file with lines nothing is appended to it, and the hand-over file
// is the file, with its torn end.
func TestALoadMovesTheLinesAsTheyAre(t *testing.T) {
	const contents = "base\none\ntw"
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte(contents))
	p := newProcess(t, disk, contents)
	requireFiles(t, disk, files{backup: "", handOver: contents})
	requireLive(t, false, p.file)
	p.kill()
	p = newProcess(t, disk, contents)
	require.NoError(t, commitLive(p.file, "new\n", ""))
	requireFiles(t, disk, files{backup: "new\n"})
}

// fails has the n-th operation from now on fail that has this name.
func (p *process) fails(n int, name string, err error) {
	p.Before(func(string, string) {
		names := p.OpNames()
		if names[len(names)-1] == name {
			if n--; n == 0 {
				p.FailAt(p.Ops()-1, err, false)
			}
		}
	})
}

// After each end of the file's life an Append fails until the next CommitLive, and the
// handle is closed.
func TestWhenAFileIsNotLive(t *testing.T) {
	const temp = ".backup.json.tmp-*"
	// failing returns an end by an Append whose n-th operation of that name fails.
	failing := func(n int, name string, failure error) func(*testing.T, *durabletest.Disk, *process) {
		return func(t *testing.T, _ *durabletest.Disk, p *process) {
			p.fails(n, name, failure)
			require.ErrorIs(t, appendLine(p.file, "line\n"), failure)
		}
	}
	commitFailing := func(name string) func(*testing.T, *durabletest.Disk, *process) {
		return func(t *testing.T, _ *durabletest.Disk, p *process) {
			p.fails(1, name, syscall.EIO)
			err := write(p.file, "new\n", func(p *durable.Pending) error {
				return p.CommitLive(nothing, func() { t.Error("installed") })
			})
			require.ErrorIs(t, err, syscall.EIO)
		}
	}
	for name, end := range map[string]func(t *testing.T, disk *durabletest.Disk, p *process){
		"never committed": func(_ *testing.T, _ *durabletest.Disk, p *process) { p.restart("base\n") },
		"plain":           func(_ *testing.T, _ *durabletest.Disk, p *process) { p.commit("plain\n") },
		"closed":          func(t *testing.T, _ *durabletest.Disk, p *process) { require.NoError(t, p.file.Close()) },
		"closed, and a backup begun": func(t *testing.T, _ *durabletest.Disk, p *process) {
			require.NoError(t, p.file.Close())
			pending, err := p.file.Create()
			require.NoError(t, err)
			pending.Abort()
		},
		"loaded by another store": func(t *testing.T, _ *durabletest.Disk, p *process) {
			other, loaded, err := start(p.fsys, backup)
			require.NoError(t, err)
			require.Equal(t, "base\n", loaded)
			require.NoError(t, other.Close())
		},
		"replaced by another store": func(t *testing.T, _ *durabletest.Disk, p *process) {
			other, err := durable.Open(p.fsys, backup, 0)
			require.NoError(t, err)
			require.NoError(t, commit(other, "other's\n"))
			require.NoError(t, other.Close())
		},
		"A2, the look at the lock fails":    failing(1, "Stat backup.json.lock", syscall.EIO),
		"A2, the look fails":                failing(1, "Stat backup.json", syscall.EIO),
		"A4, the write fails":               failing(1, "Write "+temp, syscall.ENOSPC),
		"A4, the stat fails":                failing(1, "Fstat "+temp, syscall.EIO),
		"A5, the sync fails":                failing(1, "SyncData "+temp, syscall.EIO),
		"A6, the look at the lock fails":    failing(2, "Stat backup.json.lock", syscall.EIO),
		"A6, the look fails":                failing(2, "Stat backup.json", syscall.EIO),
		"W9, the rename fails":              commitFailing("Rename .backup.json.tmp-* backup.json"),
		"W10, the sync of the folder fails": commitFailing("SyncDir disk"),
		"removed":                           func(t *testing.T, _ *durabletest.Disk, p *process) { require.NoError(t, p.Remove(backup)) },
		"moved": func(t *testing.T, _ *durabletest.Disk, p *process) {
			require.NoError(t, p.Rename(backup, backup+"~"))
		},
		"touched":       func(_ *testing.T, disk *durabletest.Disk, _ *process) { disk.Append(backup, "") },
		"appended to":   func(_ *testing.T, disk *durabletest.Disk, _ *process) { disk.Append(backup, "x") },
		"truncated":     func(_ *testing.T, disk *durabletest.Disk, _ *process) { disk.Truncate(backup) },
		"replaced":      func(_ *testing.T, disk *durabletest.Disk, _ *process) { disk.WriteFile(backup, []byte("base\n")) },
		"lock removed":  func(t *testing.T, _ *durabletest.Disk, p *process) { require.NoError(t, p.Remove(lockFile)) },
		"lock replaced": func(_ *testing.T, disk *durabletest.Disk, _ *process) { disk.WriteFile(lockFile, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			disk, p := newLive(t)
			first := p.file
			end(t, disk, p)
			p.Before(nil)
			p.Heal()
			requireLive(t, false, p.file)
			requireLive(t, false, p.file)
			require.ErrorIs(t, appendLine(p.file, "line\n"), durable.ErrNotLive)
			require.NoError(t, commitLive(p.file, "next\n", ""))
			requireLive(t, true, p.file)
			require.NoError(t, appendLine(p.file, "line\n"))
			data, _ := disk.ReadFile(backup)
			require.Equal(t, "next\nline\n", string(data))
			require.NoError(t, p.file.Close())
			require.NoError(t, first.Close())
			require.Zero(t, p.OpenHandles())
		})
	}
}

// The file that another program or the File itself has put an end to is closed at the
// next look, and a File without a live file holds none.
func TestTheHandleOfADeadFileIsClosed(t *testing.T) {
	disk, p := newLive(t)
	handles := p.OpenHandles()
	disk.WriteFile(backup, []byte("stranger's\n"))
	requireLive(t, false, p.file)
	require.Equal(t, handles-1, p.OpenHandles())
	require.NoError(t, commitLive(p.file, "next\n", ""))
	require.Equal(t, handles, p.OpenHandles())
	p.commit("plain\n")
	require.Equal(t, handles-1, p.OpenHandles())
}

// Another program comes between the look of an Append and the look behind it. The line
// is not acknowledged, and the next backup keeps the other program's file, but where only
// bytes behind half a write tell of it.
func TestAStrangerBetweenTheLooks(t *testing.T) {
	acts := map[string]func(disk *durabletest.Disk){
		"append":  func(disk *durabletest.Disk) { disk.Append(backup, "edit") },
		"touch":   func(disk *durabletest.Disk) { disk.Append(backup, "") },
		"replace": func(disk *durabletest.Disk) { disk.WriteFile(backup, []byte("stranger's\n")) },
		"remove":  func(disk *durabletest.Disk) { _ = disk.Process().Remove(backup) },
	}
	const before, behind = "base\n", "base\nline\n"
	for _, c := range []struct {
		act      string
		op       int // in front of which the stranger acts
		acked    bool
		previous string // what the next backup keeps
	}{
		{act: "append", op: 2, previous: before + "editline\n"}, // the write
		{act: "append", op: 3, previous: behind + "edit"},       // the stat
		{act: "append", op: 4, previous: behind + "edit"},       // the sync
		{act: "append", op: 5, previous: behind + "edit"},       // the look at the lock
		{act: "append", op: 6, previous: behind + "edit"},       // the look
		{act: "touch", op: 2, acked: true},                      // nothing of it is left to see
		{act: "touch", op: 3, acked: true},
		{act: "touch", op: 4, previous: behind},
		{act: "touch", op: 6, previous: behind},
		{act: "replace", op: 2, previous: "stranger's\n"},
		{act: "replace", op: 4, previous: "stranger's\n"},
		{act: "replace", op: 6, previous: "stranger's\n"},
		{act: "remove", op: 2},
		{act: "remove", op: 4},
		{act: "remove", op: 6},
		{act: "append", op: 7, acked: true}, // the Append has returned
	} {
		t.Run(c.act, func(t *testing.T) {
			disk, p := newLive(t)
			first := p.Ops()
			p.Before(func(string, string) {
				if p.Ops()-1 == first+c.op {
					acts[c.act](disk)
				}
			})
			err := appendLine(p.file, "line\n")
			require.Equal(t, c.acked, err == nil, "in front of operation %d", c.op)
			p.Before(nil)
			requireLive(t, c.acked, p.file)
			if err != nil {
				require.ErrorIs(t, err, durable.ErrNotLive)
			}
			require.NoError(t, commitLive(p.file, "next\n", ""))
			kept, _ := disk.ReadFile(previous)
			require.Equal(t, c.previous, string(kept))
			require.NoError(t, appendLine(p.file, "line\n"))
		})
	}
}

// The lock may get lost between the looks, and another process have the file then.
func TestTheLockIsLostBetweenTheLooks(t *testing.T) {
	_, p := newLive(t)
	first := p.Ops()
	p.Before(func(op, _ string) {
		if op == "SyncData" && p.Ops() > first {
			p.Before(nil)
			require.NoError(t, p.Remove(lockFile))
		}
	})
	require.ErrorIs(t, appendLine(p.file, "line\n"), durable.ErrNotLive)
	require.NoError(t, commitLive(p.file, "next\n", ""))
	requireLive(t, true, p.file)
}

// Where a store of the same process has replaced the file, the first one keeps the
// other's file.
func TestTwoStoresTakeTurns(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	first := p.file
	p.restart("")
	second := p.file
	require.NoError(t, commitLive(first, "first\n", ""))
	require.NoError(t, commitLive(second, "second\n", ""))
	require.NoError(t, appendLine(second, "step\n"))
	requireLive(t, false, first)
	requireLive(t, true, second)
	handles := p.OpenHandles()
	require.NoError(t, commitLive(first, "first again\n", ""))
	requireLive(t, false, second)
	require.Equal(t, handles, p.OpenHandles())
	requireFiles(t, disk, files{backup: "first again\n", previous: "second\nstep\n"})
	require.NoError(t, second.Close())
	requireLive(t, true, first, "the Close of one is not the end of the other")
	p.restart("first again\n")
	requireLive(t, false, first, "a load moves the live file")
	require.NoError(t, p.file.Close())
	require.NoError(t, first.Close())
	require.Zero(t, p.OpenHandles())
}

// A line that cannot be had changes nothing, and neither does a catching-up.
func TestAnErrorOfTheCallerChangesNothing(t *testing.T) {
	disk, p := newLive(t)
	tooLarge := errors.New("too large")
	for _, lines := range [][]byte{nil, []byte("lines\n")} {
		fail := func() ([]byte, error) { return lines, tooLarge }
		require.Equal(t, tooLarge, p.file.Append(fail))
		requireLive(t, true, p.file)
		err := write(p.file, "new\n", func(p *durable.Pending) error {
			return p.CommitLive(fail, func() { t.Error("installed") })
		})
		require.Equal(t, tooLarge, err)
		requireLive(t, true, p.file)
	}
	require.NoError(t, appendLine(p.file, "line\n"))
	requireFiles(t, disk, files{backup: "base\nline\n"})
}

// Until W7 the old file goes on, whatever fails. From W7 on it does not.
func TestAFailedBackupLeavesTheFileLive(t *testing.T) {
	backUp := func(fails int) (disk *durabletest.Disk, p *process, names []string, err error) {
		disk, p = newLive(t)
		first, installed := p.Ops(), 0
		p.FailAt(first+fails, syscall.EIO, false)
		err = write(p.file, "new\n", func(p *durable.Pending) error {
			return p.CommitLive(text("step\n"), func() { installed++ })
		})
		p.Heal()
		require.Equal(t, err == nil, installed == 1)
		return disk, p, p.OpNames()[first:], err
	}
	_, _, names, err := backUp(never)
	require.NoError(t, err)
	w7, failures := lastOf(names, "Fstat .backup.json.tmp-*")+1, 0
	for op := range names {
		disk, p, _, err := backUp(op)
		if err == nil { // what has failed does not matter to the backup
			requireFiles(t, disk, files{backup: "new\nstep\n"})
		} else {
			failures++
			requireLive(t, op < w7, p.file, names[op])
			if op < w7 {
				require.NoError(t, appendLine(p.file, "line\n"))
				requireFiles(t, disk, files{backup: "base\nline\n"})
			}
		}
		require.NoError(t, p.file.Close())
		require.Zero(t, p.OpenHandles(), names[op])
	}
	require.Greater(t, failures, 10)
}

const never = 1_000_000

// lastOf returns the index of the last such name.
func lastOf(names []string, name string) int {
	for i, n := range slices.Backward(names) {
		if n == name {
			return i
		}
	}
	return -1
}

// Whatever fails, the copy of another program's file stays, and all handles are closed
// at the end: half a line is this File's own, where a stat tells that it is.
func TestAFailedAppendPushesNothingOutOfPrevious(t *testing.T) {
	for _, sticky := range []bool{false, true} {
		for op := 0; ; op++ {
			disk := durabletest.NewDisk()
			p := newProcess(t, disk, "")
			disk.WriteFile(backup, []byte("stranger's"))
			require.NoError(t, commitLive(p.file, "base\n", ""))
			first := p.Ops()
			p.FailAt(first+op, syscall.EIO, sticky)
			err := appendLine(p.file, "line\n")
			names := p.OpNames()[first:]
			p.Heal()
			if len(names) <= op {
				require.NoError(t, err)
				break
			}
			if !strings.HasPrefix(names[op], "Close ") {
				require.ErrorIs(t, err, syscall.EIO, names[op])
			}
			require.NoError(t, commitLive(p.file, "next\n", ""))
			require.NoError(t, appendLine(p.file, "line\n"))
			if !strings.HasPrefix(names[op], "Fstat") && !(sticky && strings.HasPrefix(names[op], "Write")) {
				requireFiles(t, disk, files{backup: "next\nline\n", previous: "stranger's"})
			}
			require.NoError(t, p.file.Close())
			require.Zero(t, p.OpenHandles(), names[op])
			p.kill()
		}
	}
}

// A backup by slices is synced as it grows, and only then.
func TestABackupBySlices(t *testing.T) {
	for _, c := range []struct {
		slices bool
		writes []int
		synced []int // behind these writes
	}{
		{true, []int{durable.Slice - 1, 1, durable.Slice - 1, 1}, []int{1, 3}},
		{true, []int{durable.Slice, durable.Slice - 1, 2}, []int{0, 2}},
		{true, []int{3 * durable.Slice, durable.Slice - 1}, []int{0}},
		{false, []int{durable.Slice, durable.Slice}, nil},
	} {
		p := newProcess(t, durabletest.NewDisk(), "")
		pending, err := p.file.Create()
		require.NoError(t, err)
		if c.slices {
			pending.SyncBySlices()
		}
		var synced []int
		for i, size := range c.writes {
			first := p.Ops()
			n, err := pending.Write(make([]byte, size))
			require.NoError(t, err)
			require.Equal(t, size, n)
			if slices.Contains(p.OpNames()[first:], "SyncData .backup.json.tmp-*") {
				synced = append(synced, i)
			}
		}
		require.Equal(t, c.synced, synced)
		require.NoError(t, pending.Commit())
	}
}

// An error of a slice is an error of the Write, and a Write that has failed syncs nothing.
func TestAnErrorOfASlice(t *testing.T) {
	for _, failing := range []string{"SyncData .backup.json.tmp-*", "Write .backup.json.tmp-*"} {
		p := newProcess(t, durabletest.NewDisk(), "")
		pending, err := p.file.Create()
		require.NoError(t, err)
		pending.SyncBySlices()
		p.fails(1, failing, syscall.ENOSPC)
		first := p.Ops()
		_, err = pending.Write(make([]byte, 3*durable.Slice))
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.Equal(t, failing, p.OpNames()[p.Ops()-1])
		require.LessOrEqual(t, p.Ops(), first+2)
		pending.Abort()
	}
}

// What a Sync has made durable, a power cut leaves, whatever a Write adds behind it.
func TestSyncOfAPending(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	pending, err := p.file.Create()
	require.NoError(t, err)
	_, err = io.WriteString(pending, "base\n")
	require.NoError(t, err)
	require.NoError(t, pending.Sync())
	require.NoError(t, p.SyncDir("/disk/"))
	_, err = io.WriteString(pending, "step\n")
	require.NoError(t, err)
	name := temps(disk)[0]
	for image := range disk.Crashes() {
		data, _ := image.ReadFile(name)
		require.True(t, strings.HasPrefix(string(data), "base\n"), "%q", data)
	}
	p.fails(1, "Sync .backup.json.tmp-*", syscall.EIO)
	require.ErrorIs(t, pending.Sync(), syscall.EIO)
	pending.Abort()
	require.Empty(t, temps(disk))
}

// On the machine's own file system.
func TestAppendOnTheRealSystem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	contents := func() string {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(data)
	}
	f, _, err := start(durabletest.Over(durable.OS{}), path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	require.NoError(t, commitLive(f, "base\n", "caught up\n"))
	require.NoError(t, appendLine(f, "one\n"))
	require.NoError(t, appendLine(f, "two\n"))
	require.True(t, f.Intact())
	require.Equal(t, "base\ncaught up\none\ntwo\n", contents())
	require.NoError(t, commitLive(f, "base\n", ""))
	require.NoError(t, appendLine(f, "three\n"))
	require.Equal(t, "base\nthree\n", contents())
	require.NoError(t, os.WriteFile(path, []byte("an editor's"), 0o600))
	require.ErrorIs(t, appendLine(f, "four\n"), durable.ErrNotLive)
	require.Equal(t, "an editor's", contents())
	require.NoError(t, f.Close())
	requireLive(t, false, f)
	_, err = os.Stat(path + ".prev")
	require.ErrorIs(t, err, fs.ErrNotExist, "an Append copies nothing")
}

// A line is not written over the text of another program.
func TestWritesGoToTheEnd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a handle has a position of its own there")
	}
	path := filepath.Join(t.TempDir(), "b")
	h, err := durable.OS{}.Create(path)
	require.NoError(t, err)
	_, err = io.WriteString(h, "ours, ")
	require.NoError(t, err)
	other, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = other.WriteString("another's, ")
	require.NoError(t, err)
	require.NoError(t, other.Close())
	_, err = io.WriteString(h, "ours")
	require.NoError(t, err)
	require.NoError(t, h.SyncData())
	require.NoError(t, h.Close())
	require.Error(t, h.SyncData())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "ours, another's, ours", string(data))
}

// Where an open file cannot be replaced, no File of the process has it open then.
func TestNoStoreHasTheFileOpenAtTheRename(t *testing.T) {
	if durable.ReplacesOpen {
		t.Skip("an open file can be replaced here")
	}
	for _, others := range []bool{false, true} {
		if others {
			t.Skip("the live file of another File stays open: a backup fails until that File has looked or is closed")
		}
		_, p := newLive(t)
		if first := p.file; others {
			p.restart("base\n")
			require.NoError(t, commitLive(first, "first\n", ""))
		}
		p.Before(func(op, name string) {
			if op == "Rename" && name == backup {
				require.Equal(t, 2, p.OpenHandles(), "the lock and the new file")
			}
		})
		require.NoError(t, commitLive(p.file, "next\n", ""))
		p.Before(nil)
	}
}

// A load moves the live file to the hand-over file, which nothing may be appended to.
func TestALoadOfTheFilesOwnIsItsEnd(t *testing.T) {
	disk, p := newLive(t)
	loaded, err := loadInto(p.file)
	require.NoError(t, err)
	require.Equal(t, "base\n", loaded)
	require.ErrorIs(t, appendLine(p.file, "line\n"), durable.ErrNotLive)
	requireLive(t, false, p.file)
	requireFiles(t, disk, files{backup: "", handOver: "base\n"})
}

package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// read returns what a process reads that does not own the path.
func read(p durable.FS) (contents string, err error) {
	err = durable.Read(p, backup, readInto(&contents))
	return contents, err
}

func TestReadFindsWhatALoadWouldFindAndTouchesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		there files
		want  string
	}{
		"file":                 {files{backup: "old"}, "old"},
		"file and hand-over":   {files{backup: "old", handOver: "older"}, "old"},
		"empty, and hand-over": {files{backup: "", handOver: "old"}, "old"},
		"hand-over":            {files{handOver: "old"}, "old"},
		"empty file":           {files{backup: ""}, ""},
		"empty hand-over":      {files{handOver: ""}, ""},
		"both empty":           {files{backup: "", handOver: ""}, ""},
		"stale temp":           {files{backup: "old", staleTemp: "x"}, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := durabletest.NewDisk()
			for name, contents := range test.there {
				disk.WriteFile(name, []byte(contents))
			}
			p := disk.Process()
			contents, err := read(p)
			require.NoError(t, err)
			require.Equal(t, test.want, contents)
			requireFiles(t, disk, test.there)
			require.NotContains(t, disk.Names(), lockFile)
			for _, op := range p.OpNames() {
				require.Contains(t, []string{"Resolve", "Stat", "Open", "Fstat", "Read", "Close"}, strings.Fields(op)[0])
			}
			newProcess(t, disk, test.want)
		})
	}
}

func TestReadReportsErrors(t *testing.T) {
	bad := errors.New("corrupt")
	for _, there := range []files{{backup: "x", handOver: "y"}, {backup: "", handOver: "y"}} {
		disk := durabletest.NewDisk()
		for name, contents := range there {
			disk.WriteFile(name, []byte(contents))
		}
		p := disk.Process()
		err := durable.Read(p, backup, func(string, io.Reader) error { return bad })
		require.ErrorIs(t, err, bad)
		for op := 0; ; op++ {
			p := disk.Process()
			p.FailAt(op, syscall.EIO, false)
			_, err := read(p)
			if p.Ops() <= op {
				require.NoError(t, err)
				break
			}
			require.Zero(t, p.OpenHandles(), p.OpNames()[op])
			if !strings.HasPrefix(p.OpNames()[op], "Close ") {
				require.ErrorIs(t, err, syscall.EIO, p.OpNames()[op])
			}
		}
		requireFiles(t, disk, there)
	}
}

func TestReadBelievesTheThirdTimeThatNothingIsThere(t *testing.T) {
	disk := durabletest.NewDisk()
	p := disk.Process()
	opens := 0
	p.Before(func(op, name string) {
		if op == "Open" && name == backup {
			opens++
		}
	})
	_, err := read(p)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, backup)
	require.Equal(t, 3, opens)
	require.Empty(t, disk.Names())
}

// Contents that go while they are read are not given to the caller.
func TestReadOfWhatGoesAway(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, nil)
	disk.WriteFile(handOver, []byte("old"))
	p := disk.Process()
	p.Before(func(op, name string) {
		if op == "Read" {
			p.Before(nil)
			_ = disk.Process().Remove(handOver)
		}
	})
	contents, err := read(p)
	require.NoError(t, err)
	require.Equal(t, "{}", contents)
}

// A stage is work of another process that a Read may meet.
type stage struct {
	name   string
	before func(t *testing.T, disk *durabletest.Disk) *process
	act    func(p *process)
}

var stages = []stage{
	{
		"a load",
		func(t *testing.T, disk *durabletest.Disk) *process {
			disk.WriteFile(backup, []byte("1"))
			return unstarted(t, disk)
		},
		func(p *process) { p.restart("1") },
	},
	{
		"a load over an older hand-over file",
		func(t *testing.T, disk *durabletest.Disk) *process {
			disk.WriteFile(handOver, []byte("0"))
			disk.WriteFile(backup, []byte("1"))
			return unstarted(t, disk)
		},
		func(p *process) { p.restart("1") },
	},
	{
		"the first backup after a load",
		func(t *testing.T, disk *durabletest.Disk) *process {
			disk.WriteFile(backup, []byte("1"))
			return newProcess(t, disk, "1")
		},
		func(p *process) { p.commit("2") },
	},
	{
		"a later backup",
		func(t *testing.T, disk *durabletest.Disk) *process {
			p := newProcess(t, disk, "")
			p.commit("1")
			return p
		},
		func(p *process) { p.commit("2") },
	},
	{
		"a backup over a foreign file",
		func(t *testing.T, disk *durabletest.Disk) *process {
			p := newProcess(t, disk, "")
			disk.WriteFile(backup, []byte("1"))
			return p
		},
		func(p *process) { p.commit("2") },
	},
	{
		"two restarts",
		func(t *testing.T, disk *durabletest.Disk) *process {
			disk.WriteFile(backup, []byte("1"))
			return newProcess(t, disk, "1")
		},
		func(p *process) {
			p.commit("2")
			p.restart("2")
			p.commit("3")
			p.restart("3")
		},
	},
}

// step runs the act in a goroutine, which waits in front of each operation. The
// function that is returned lets it carry out one, and reports whether there was
// one. newest is the backup that was acknowledged last.
func (s stage) step(t *testing.T) (disk *durabletest.Disk, next func() bool) {
	disk = durabletest.NewDisk()
	p := s.before(t, disk)
	waiting, proceed, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	p.Before(func(string, string) {
		waiting <- struct{}{}
		<-proceed
	})
	go func() {
		defer close(ended)
		s.act(p)
	}()
	more := true
	wait := func() bool {
		select {
		case <-waiting:
		case <-ended:
			more = false
		}
		return more
	}
	wait()
	next = func() bool {
		if more {
			proceed <- struct{}{}
			return wait()
		}
		return false
	}
	return disk, next
}

// Every Read gives one whole backup, and none that is older than the newest when
// the Read began. The other process carries out i operations before the Read, j in
// front of the Read's k-th operation, and the rest after the Read.
func TestReadBesideAnOwner(t *testing.T) {
	for _, s := range stages {
		t.Run(s.name, func(t *testing.T) {
			reads := 0
			for i, more := 0, true; more; i++ {
				for k, again := 0, true; again; k++ {
					for j, more2 := 1, true; more2; j = stride(j) {
						more, again, more2 = s.read(t, i, j, k)
						reads++
					}
				}
			}
			t.Logf("%d reads", reads)
		})
	}
}

func (s stage) read(t *testing.T, i, j, k int) (more, again, more2 bool) {
	disk, next := s.step(t)
	defer func() {
		for next() {
		}
	}()
	more = true
	for n := 0; n < i && more; n++ {
		more = next()
	}
	floor, err := read(disk.Process())
	require.NoError(t, err)
	reader := disk.Process()
	reader.Before(func(op, name string) {
		if reader.Ops() == k+1 {
			more2 = more
			for n := 0; n < j && more2; n++ {
				more2 = next()
			}
		}
	})
	contents, err := read(reader)
	require.NoError(t, err)
	require.Contains(t, []string{"1", "2", "3"}, contents)
	require.GreaterOrEqual(t, contents, floor, "after %d, then %d in front of %d", i, j, k)
	return more, reader.Ops() > k, more2
}

// Three whole restarts within one Read could hide both files. Fewer do not.
func TestReadIsNotToldTwiceThatNothingIsThere(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(handOver, []byte("1"))
	p := disk.Process()
	opened := 0
	p.Before(func(op, name string) {
		if op == "Open" && name == handOver {
			if opened++; opened <= 2 {
				_ = disk.Process().Remove(handOver)
				return
			}
			disk.WriteFile(handOver, []byte("2"))
		}
	})
	contents, err := read(p)
	require.NoError(t, err)
	require.Equal(t, "2", contents)
}

func stride(j int) int {
	if long() {
		return j + 1
	}
	return 4*j + 3
}

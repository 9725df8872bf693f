package durable_test

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

const staleTemp = "/disk/.backup.json.tmp-stale"

// A scenario is something whose operations are to fail one by one.
type scenario struct {
	name string
	// before is what comes before the failure.
	before func(t *testing.T, disk *durabletest.Disk, p *process)
	act    func(p *process) error
	old    string // what is there before
	new    string // and after
	kept   string // what was there and must be in Previous after it
	// tolerated are the operations, in their order, whose failure is not
	// reported, since what was asked for is done all the same.
	tolerated []string
}

func load(p *process) (err error) {
	p.file, _, err = start(p.fsys, backup)
	return err
}

var scenarios = []scenario{
	{
		name: "load nothing",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(staleTemp, []byte("stale"))
		},
		act: load,
		tolerated: []string{
			"Own .backup.json.tmp-*", "Remove .backup.json.tmp-*", "Close .backup.json.tmp-*", // sweep
		},
	},
	{
		name: "load the file",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(backup, []byte("old"))
		},
		act: load,
		old: "old",
		new: "old",
		tolerated: []string{
			"Close .backup.json.tmp-*", "Remove .backup.json.tmp-*", // the room
		},
	},
	{
		name: "load the file over an older hand-over file",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(handOver, []byte("older"))
			disk.WriteFile(backup, []byte("old"))
		},
		act:  load,
		old:  "old",
		new:  "old",
		kept: "older",
		tolerated: []string{
			"Close .backup.json.tmp-*", "Remove .backup.json.tmp-*", // the room
		},
	},
	{
		name: "load the hand-over file",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(handOver, []byte("old"))
		},
		act: load,
		old: "old",
		new: "old",
		tolerated: []string{
			"Close .backup.json.tmp-*", "Remove .backup.json.tmp-*", // the room
		},
	},
	{
		name:      "the very first backup",
		before:    func(_ *testing.T, _ *durabletest.Disk, p *process) { p.restart("") },
		act:       func(p *process) error { return commit(p.file, "new") },
		new:       "new",
		tolerated: []string{"Stat backup.json", "Fstat .backup.json.tmp-*", "Close .backup.json.tmp-*"}, // leave
	},
	{
		name: "the first backup after a load",
		before: func(_ *testing.T, disk *durabletest.Disk, p *process) {
			disk.WriteFile(backup, []byte("old"))
			p.restart("old")
		},
		act: func(p *process) error { return commit(p.file, "new") },
		old: "old",
		new: "new",
		tolerated: []string{
			"Stat backup.json", "Fstat .backup.json.tmp-*", // leave
			"Fstat backup.json", "Stat backup.json.loaded", "Remove backup.json.loaded", "Close backup.json", // dropHandOver
			"Close .backup.json.tmp-*",
		},
	},
	{
		name: "a later backup",
		before: func(_ *testing.T, disk *durabletest.Disk, p *process) {
			disk.WriteFile(backup, []byte("older"))
			p.restart("older")
			p.commit("old")
		},
		act: func(p *process) error { return commit(p.file, "new") },
		old: "old",
		new: "new",
		tolerated: []string{
			"Stat backup.json", "Fstat .backup.json.tmp-*", // leave
			"Close .backup.json.tmp-*", "Close backup.json",
		},
	},
	{
		name: "a backup over a foreign file",
		before: func(_ *testing.T, disk *durabletest.Disk, p *process) {
			p.restart("")
			disk.WriteFile(backup, []byte("old"))
		},
		act:  func(p *process) error { return commit(p.file, "new") },
		old:  "old",
		new:  "new",
		kept: "old",
		tolerated: []string{
			"Stat backup.json", "Fstat .backup.json.tmp-*", // leave
			"Close .backup.json.tmp-*", "Close backup.json",
		},
	},
	{
		name: "load and back up",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(backup, []byte("old"))
		},
		act: func(p *process) error {
			if err := load(p); err != nil {
				return err
			}
			return commit(p.file, "new")
		},
		old: "old",
		new: "new",
		tolerated: []string{
			"Close .backup.json.tmp-*", "Remove .backup.json.tmp-*", // the room
			"Stat backup.json", "Fstat .backup.json.tmp-*", // leave
			"Fstat backup.json", "Stat backup.json.loaded", "Remove backup.json.loaded", "Close backup.json", // dropHandOver
			"Close .backup.json.tmp-*",
		},
	},
}

// failing runs s with its op-th operation failing, and returns which that was,
// or "" if there are not so many.
func (s scenario) failing(t *testing.T, op int, sticky bool) (failed string, tolerated bool) {
	disk := durabletest.NewDisk()
	p := unstarted(t, disk)
	defer p.kill()
	s.before(t, disk, p)
	first := p.Ops()
	p.FailAt(first+op, syscall.EIO, sticky)
	err := s.act(p)
	if p.Ops() <= first+op {
		require.NoError(t, err)
		return "", false
	}
	failed = p.OpNames()[first+op]
	possible := []string{s.old, s.new}
	if err == nil {
		possible = []string{s.new}
	} else {
		require.ErrorIs(t, err, syscall.EIO)
	}
	for image := range disk.Crashes() {
		s.requireKept(t, image, err)
		require.Contains(t, possible, recovered(t, image))
	}
	if !sticky && !strings.HasPrefix(failed, "Remove .") {
		require.Subset(t, []string{staleTemp}, temps(disk))
	}
	p.Heal()
	s.requireWorks(t, disk, p, possible)
	return failed, err == nil
}

// requireKept requires that what is to be kept has its place if err is nil, and
// is at least somewhere otherwise.
func (s scenario) requireKept(t *testing.T, disk *durabletest.Disk, err error) {
	if err == nil {
		data, _ := disk.ReadFile(previous)
		require.Equal(t, s.kept, string(data))
		return
	}
	var all []string
	for _, name := range disk.Names() {
		data, _ := disk.ReadFile(name)
		all = append(all, string(data))
	}
	require.Contains(t, append(all, ""), s.kept)
}

// requireWorks requires that the process can go on where it was stopped.
func (s scenario) requireWorks(t *testing.T, disk *durabletest.Disk, p *process, possible []string) {
	if p.file == nil {
		file, loaded, err := start(p.fsys, backup)
		require.NoError(t, err)
		require.Contains(t, possible, loaded)
		p.file = file
	}
	p.commit("next")
	p.kill()
	newProcess(t, disk, "next")
	require.Empty(t, temps(disk))
}

func temps(disk *durabletest.Disk) (names []string) {
	for _, name := range disk.Names() {
		if strings.Contains(name, ".tmp-") {
			names = append(names, name)
		}
	}
	return names
}

func TestEveryOperationFails(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			var tolerated []string
			op := 0
			for ; ; op++ {
				failed, ok := s.failing(t, op, false)
				if failed == "" {
					break
				}
				if ok {
					tolerated = append(tolerated, failed)
				}
			}
			require.Equal(t, s.tolerated, tolerated)
			t.Logf("%d operations", op)
		})
	}
}

func TestEveryOperationFailsFromOneOn(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			for op := 0; ; op++ {
				if failed, _ := s.failing(t, op, true); failed == "" {
					break
				}
			}
		})
	}
}

func TestAReadErrorIsNotTheEnd(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := unstarted(t, disk)
	p.Before(func(op, _ string) {
		if op == "Read" {
			p.FailAt(p.Ops()-1, syscall.EIO, false)
		}
	})
	require.ErrorIs(t, load(p), syscall.EIO)
	requireFiles(t, disk, files{backup: "old"})
}

// A folder that may be searched and written, but not listed, keeps its stale
// temporary files, and all else works.
func TestAFolderThatMayNotBeListed(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	disk.WriteFile(staleTemp, nil)
	p := unstarted(t, disk)
	p.Before(func(op, _ string) {
		if op == "List" {
			p.FailAt(p.Ops()-1, fs.ErrPermission, false)
		}
	})
	p.restart("old")
	p.commit("new")
	requireFiles(t, disk, files{backup: "new", staleTemp: ""})
}

func TestANameThatIsTakenIsNotTheEnd(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	p.FailAt(p.Ops(), fs.ErrExist, false)
	p.commit("new")

	p.FailAt(p.Ops(), fs.ErrExist, true)
	require.ErrorIs(t, commit(p.file, "newer"), fs.ErrExist, "but there is an end")
}

package durable_test

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

const staleTemp = "/disk/.backup.json.tmp-0123456789abcdef"

// A scenario is an action whose operations are to fail in turn.
type scenario struct {
	name string
	// before is what comes before the failure.
	before func(t *testing.T, disk *durabletest.Disk, p *process)
	act    func(p *process) error
	old    string // the contents before
	new    string // and after
	kept   string // what was there and must be in Previous after it
	// tolerated are the operations, in their order, whose failure is not
	// reported, since the action is done all the same.
	tolerated []string
}

func load(p *process) (err error) {
	p.file, _, err = start(p.fsys, backup)
	if err != nil && p.file != nil {
		_ = p.file.Close()
		p.file = nil
	}
	return err
}

// Failures that a start does not report.
var (
	// The number and the owner of the lock's file.
	signing = []string{"Write backup.json.lock", "Fstat backup.json.lock", "Stat backup.json", "Chown backup.json.lock"}
	// Like signing, where only the hand-over file may tell the owner.
	signingWithout = []string{"Write backup.json.lock", "Fstat backup.json.lock", "Stat backup.json", "Stat backup.json.loaded"}
	// The temporary file that shows whether a backup can be written.
	trying = []string{"Close .backup.json.tmp-*", "Remove .backup.json.tmp-*"}
)

func join(lists ...[]string) (all []string) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

var scenarios = []scenario{
	{
		name: "load nothing",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(staleTemp, []byte("stale"))
		},
		act:       load,
		tolerated: join(signingWithout, []string{"Stat .backup.json.tmp-*", "Remove .backup.json.tmp-*"}, trying),
	},
	{
		name: "load the file",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(backup, []byte("old"))
		},
		act:       load,
		old:       "old",
		new:       "old",
		tolerated: join(signing, []string{"Chown .backup.json.tmp-*"}, trying, []string{"Chown backup.json", "Close backup.json"}),
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
		tolerated: join(signing, []string{"Chown .backup.json.tmp-*", "Close backup.json.loaded"}, trying,
			[]string{"Chown backup.json", "Close backup.json"}),
	},
	{
		name: "load the hand-over file",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(handOver, []byte("old"))
		},
		act: load,
		old: "old",
		new: "old",
		tolerated: join(signingWithout, []string{"Chown backup.json.lock", "Chown .backup.json.tmp-*"}, trying,
			[]string{"Chown backup.json", "Close backup.json.loaded"}),
	},
	{
		name: "load the hand-over file, with an empty file",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(handOver, []byte("old"))
			disk.WriteFile(backup, nil)
		},
		act:       load,
		old:       "old",
		new:       "old",
		tolerated: join(signing, []string{"Chown .backup.json.tmp-*", "Close backup.json.loaded"}),
	},
	{
		name:      "the very first backup",
		before:    func(_ *testing.T, _ *durabletest.Disk, p *process) { p.restart("") },
		act:       func(p *process) error { return commit(p.file, "new") },
		new:       "new",
		tolerated: []string{"Close .backup.json.tmp-*"},
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
			"Chown .backup.json.tmp-*",
			"Stat backup.json.loaded", "Remove backup.json.loaded", // dropHandOver
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
		act:       func(p *process) error { return commit(p.file, "new") },
		old:       "old",
		new:       "new",
		tolerated: []string{"Chown .backup.json.tmp-*", "Close .backup.json.tmp-*"},
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
			"Chown .backup.json.tmp-*", "Chown .backup.json.tmp-*", // the backup, the copy
			"Close backup.json", "Close .backup.json.tmp-*",
		},
	},
	{
		name: "a backup after the lock's file was removed",
		before: func(_ *testing.T, disk *durabletest.Disk, p *process) {
			p.restart("")
			p.commit("old")
			_ = disk.Process().Remove(lockFile)
		},
		act:       func(p *process) error { return commit(p.file, "new") },
		old:       "old",
		new:       "new",
		tolerated: join(signing, []string{"Chown .backup.json.tmp-*", "Close .backup.json.tmp-*"}),
	},
	{
		name: "a backup after Close",
		before: func(t *testing.T, disk *durabletest.Disk, p *process) {
			p.restart("")
			p.commit("old")
			require.NoError(t, p.file.Close())
		},
		act:       func(p *process) error { return commit(p.file, "new") },
		old:       "old",
		new:       "new",
		tolerated: join(signing, []string{"Chown .backup.json.tmp-*", "Close .backup.json.tmp-*"}),
	},
	{
		name: "a blank backup over a file with contents",
		before: func(_ *testing.T, disk *durabletest.Disk, p *process) {
			p.restart("")
			disk.WriteFile(backup, []byte("old"))
		},
		act: func(p *process) error { return commitBlank(p.file) },
		old: "old",
		new: "old",
		tolerated: []string{
			"Chown .backup.json.tmp-*", "Close backup.json", "Close .backup.json.tmp-*", "Remove .backup.json.tmp-*",
		},
	},
	{
		name: "close",
		before: func(_ *testing.T, disk *durabletest.Disk, p *process) {
			disk.WriteFile(backup, []byte("old"))
			p.restart("old")
		},
		act: func(p *process) error { return p.file.Close() },
		old: "old",
		new: "old",
	},
	{
		name: "load, back up and close",
		before: func(_ *testing.T, disk *durabletest.Disk, _ *process) {
			disk.WriteFile(backup, []byte("old"))
		},
		act: func(p *process) error {
			if err := load(p); err != nil {
				return err
			}
			if err := commit(p.file, "new"); err != nil {
				return err
			}
			return p.file.Close()
		},
		old: "old",
		new: "new",
		tolerated: join(signing, []string{"Chown .backup.json.tmp-*"}, trying,
			[]string{"Chown backup.json", "Close backup.json"},
			[]string{"Chown .backup.json.tmp-*", "Stat backup.json.loaded", "Remove backup.json.loaded", "Close .backup.json.tmp-*"}),
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
		require.ErrorContains(t, err, "/disk/", "the error says where")
	}
	for image := range disk.Crashes() {
		s.requireKept(t, image, err)
		require.Contains(t, possible, recovered(t, image), failed)
	}
	if !sticky && !strings.HasPrefix(failed, "Remove .") {
		require.Subset(t, []string{staleTemp}, temps(disk), failed)
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

// requireWorks requires that the process can go on where it was stopped, and that
// it lets go at the end.
func (s scenario) requireWorks(t *testing.T, disk *durabletest.Disk, p *process, possible []string) {
	if p.file == nil {
		file, loaded, err := start(p.fsys, backup)
		require.NoError(t, err)
		require.Contains(t, possible, loaded)
		p.file = file
	}
	p.commit("next")
	require.NoError(t, p.file.Close())
	require.Zero(t, p.OpenHandles())
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

// on has the operations op, on files whose names contain part, fail with err.
func (p *process) on(op, part string, err error) {
	p.Before(func(did, name string) {
		if did == op && strings.Contains(name, part) {
			p.FailAt(p.Ops()-1, err, false)
		}
	})
}

func TestAReadErrorIsNotTheEnd(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	p := unstarted(t, disk)
	p.on("Read", "backup.json", syscall.EIO)
	require.ErrorIs(t, load(p), syscall.EIO)
	requireFiles(t, disk, files{backup: "old"})
}

// A folder that may not be listed keeps its stale temporary files, and all else
// works. Other errors are reported.
func TestAFolderThatMayNotBeListed(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	disk.WriteFile(staleTemp, nil)
	p := unstarted(t, disk)
	p.on("List", "", fs.ErrPermission)
	p.restart("old")
	p.commit("new")
	requireFiles(t, disk, files{backup: "new", staleTemp: ""})
}

func TestANameThatIsTakenIsNotTheEnd(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	p.FailAt(p.Ops(), fs.ErrExist, false)
	pending, err := p.file.Create()
	require.ErrorIs(t, err, fs.ErrExist, "of the look at the lock")
	require.Nil(t, pending)
	p.FailAt(p.Ops()+1, fs.ErrExist, false)
	p.commit("new")

	p.FailAt(p.Ops()+1, fs.ErrExist, true)
	require.ErrorIs(t, commit(p.file, "newer"), fs.ErrExist, "but there is an end")
}

// A failed Commit may have installed its backup. The next Commit must not take that
// backup for a stranger's, and push what a stranger has written out of Previous.
func TestABackupOfAFailedCommitIsNoStrangers(t *testing.T) {
	for _, failing := range []string{"Rename backup.json", "SyncDir disk"} {
		t.Run(failing, func(t *testing.T) {
			disk := durabletest.NewDisk()
			p := newProcess(t, disk, "")
			disk.WriteFile(backup, []byte("stranger's"))
			p.commit("one")
			op, name, _ := strings.Cut(failing, " ")
			p.on(op, name, syscall.EIO)
			require.ErrorIs(t, commit(p.file, "two"), syscall.EIO)
			require.Equal(t, op == "Rename", p.file.Intact(), "a name that may not be durable is not intact")
			p.Before(nil)
			p.commit("three")
			require.True(t, p.file.Intact())
			requireFiles(t, disk, files{backup: "three", previous: "stranger's"})
		})
	}
}

// done is a file system on which a rename of the backup file reports an error and
// is done.
type done struct{ durable.FS }

func (d done) Rename(from, to string) error {
	if err := d.FS.Rename(from, to); err != nil || to != backup {
		return err
	}
	return syscall.EIO
}

func TestARenameThatReportsAnErrorAndIsDone(t *testing.T) {
	disk := durabletest.NewDisk()
	p := newProcess(t, disk, "")
	p.commit("one")
	p.kill()
	faulty := unstarted(t, disk)
	faulty.fsys = done{faulty.Process}
	faulty.restart("one")
	disk.WriteFile(backup, []byte("stranger's"))
	for range 3 {
		require.ErrorIs(t, commit(faulty.file, "two"), syscall.EIO)
		require.False(t, faulty.file.Intact())
	}
	requireFiles(t, disk, files{backup: "two", handOver: "one", previous: "stranger's"})
	faulty.kill()
	require.Equal(t, "two", recovered(t, disk))
}

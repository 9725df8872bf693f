package durable_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

const (
	backup   = "/disk/backup.json"
	handOver = backup + ".loaded"
	previous = backup + ".prev"
)

// start does what a process does first, and returns what it has loaded.
func start(fsys durable.FS, path string) (f *durable.File, loaded string, err error) {
	if f, err = durable.Open(fsys, path); err != nil {
		return nil, "", err
	}
	err = f.Load(func(_ string, r io.Reader) error {
		data, err := io.ReadAll(r)
		loaded = string(data)
		return err
	})
	if !f.Loaded() {
		loaded = ""
	}
	return f, loaded, err
}

func commit(f *durable.File, contents string) error {
	p, err := f.Create()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(p, contents); err != nil {
		p.Abort()
		return err
	}
	return p.Commit()
}

// A process works on a model of a disk.
type process struct {
	*durabletest.Process
	t    *testing.T
	fsys durable.FS // the same, or what a test has put between
	file *durable.File
}

// unstarted is a process that has not loaded anything yet.
func unstarted(t *testing.T, disk *durabletest.Disk) *process {
	p := &process{Process: disk.Process(), t: t}
	p.fsys = p.Process
	t.Cleanup(p.kill)
	return p
}

// newProcess starts a process and requires that it loads what it should.
func newProcess(t *testing.T, disk *durabletest.Disk, loads string) *process {
	t.Helper()
	p := unstarted(t, disk)
	p.restart(loads)
	return p
}

// restart makes a store in the process, and forgets the one that there was.
func (p *process) restart(loads string) {
	p.t.Helper()
	file, loaded, err := start(p.fsys, backup)
	require.NoError(p.t, err)
	require.Equal(p.t, loads, loaded)
	p.file = file
}

func (p *process) commit(contents string) {
	p.t.Helper()
	require.NoError(p.t, commit(p.file, contents))
}

func (p *process) kill() {
	p.Kill()
	durable.Forget(p.fsys)
}

// requireFiles requires that the disk has these files and no other.
func requireFiles(t *testing.T, disk *durabletest.Disk, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, name := range disk.Names() {
		data, _ := disk.ReadFile(name)
		got[name] = string(data)
	}
	require.Equal(t, want, got)
}

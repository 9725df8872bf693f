package durable_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

const (
	backup   = "/disk/backup.json"
	handOver = backup + ".loaded"
	previous = backup + ".prev"
	lockFile = backup + ".lock"
)

// long has the tests that enumerate do so to the end. A function, since go test
// does not see, when it looks for cached results, what a variable read.
func long() bool { return os.Getenv("GENIE_LONG") != "" }

// deep is whether the models of steps try every combination, which takes minutes.
func deep() bool { return os.Getenv("GENIE_DEEP") != "" }

// start does what a process does first, and returns what it has loaded.
func start(fsys durable.FS, path string) (f *durable.File, loaded string, err error) {
	if f, err = durable.Open(fsys, path, 0); err != nil {
		return nil, "", err
	}
	loaded, err = loadInto(f)
	return f, loaded, err
}

func loadInto(f *durable.File) (loaded string, err error) {
	err = f.Load(readInto(&loaded))
	return loaded, err
}

func readInto(contents *string) func(string, io.Reader) error {
	return func(_ string, r io.Reader) error {
		data, err := io.ReadAll(r)
		*contents = string(data)
		return err
	}
}

func commit(f *durable.File, contents string) error {
	return write(f, contents, (*durable.Pending).Commit)
}

const blankBackup = "{}\n"

func commitBlank(f *durable.File) error {
	return write(f, blankBackup, (*durable.Pending).CommitBlank)
}

func write(f *durable.File, contents string, end func(*durable.Pending) error) error {
	p, err := f.Create()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(p, contents); err != nil {
		p.Abort()
		return err
	}
	return end(p)
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

// recovered returns what a process loads that has the disk to itself.
func recovered(t *testing.T, disk *durabletest.Disk) string {
	t.Helper()
	p := disk.Process()
	defer durable.Forget(p)
	_, loaded, err := start(p, backup)
	require.NoError(t, err)
	return loaded
}

type files = map[string]string

// requireFiles requires that the disk has these files and no other but a lock's.
func requireFiles(t *testing.T, disk *durabletest.Disk, want files) {
	t.Helper()
	got := files{}
	for _, name := range disk.Names() {
		if !strings.HasSuffix(name, ".lock") {
			data, _ := disk.ReadFile(name)
			got[name] = string(data)
		}
	}
	require.Equal(t, want, got)
}

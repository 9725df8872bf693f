package durable_test

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// A model carries out loads and backups, has the power fail at every operation,
// starts on each disk that may be left, and has the power fail again while that
// goes on.
type model struct {
	// plant puts a bug between package durable and the disk.
	plant func(disk *durabletest.Disk, p *durabletest.Process) durable.FS
	start func(disk *durabletest.Disk, fsys durable.FS) (f *durable.File, loaded string, err error)
	// disturb is called in front of operation number at.
	disturb func(p *durabletest.Process)
	at      int

	end func() // ends the process there is

	ops    int // so far, without those of recoveries
	images int // of disks without power
	tried  map[string]int
	lost   []string // what went wrong; then nothing more is tried
}

func newModel() *model {
	return &model{
		plant:   func(_ *durabletest.Disk, p *durabletest.Process) durable.FS { return p },
		start:   func(_ *durabletest.Disk, fsys durable.FS) (*durable.File, string, error) { return start(fsys, backup) },
		disturb: func(*durabletest.Process) {},
		tried:   map[string]int{},
	}
}

// A promise is which generations a load may give: the newest backup that was
// acknowledged, or loaded, or a newer one. Generation kept, if it is not 0, is in
// some file: a stranger has written it and it was never loaded, or it was loaded
// and never backed up.
type promise struct{ acknowledged, written, edited, kept int }

// generation returns contents of which no part is another's.
func generation(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("<generation %d>", n)
}

// number returns which generation contents are, or 0.
func number(contents []byte) (n int) {
	_, _ = fmt.Sscanf(string(contents), "<generation %d>", &n)
	return n
}

func (p promise) allows(contents string) (n int, ok bool) {
	if contents == blankBackup {
		contents = generation(0)
	}
	for n = p.acknowledged; n <= p.written; n++ {
		if contents == generation(n) {
			return n, true
		}
	}
	return 0, false
}

// run carries out the steps: the start of a process, "load", its backups, "commit"
// and "blank", and "edit", a stranger's. After each operation the power may fail,
// depth times.
func (m *model) run(depth int, steps ...string) {
	m.ops = 0
	disk := durabletest.NewDisk()
	var now promise
	var file *durable.File
	for _, step := range steps {
		var err error
		switch step {
		case "load":
			file = nil
		case "edit":
			now.edit(disk)
		case "blank":
			err = commitBlank(file)
		case "commit":
			now.keepEdit(disk)
			now.written++
			if err = commit(file, generation(now.written)); err == nil {
				now.acknowledged = now.written
			}
		}
		for file == nil || errors.Is(err, durabletest.ErrKilled) { // once more if it was disturbed
			file, err = m.load(disk, &now, depth), nil
		}
	}
	m.cut(disk, now, depth)
}

// edit has a stranger write the next generation.
func (p *promise) edit(disk *durabletest.Disk) {
	p.written++
	p.acknowledged, p.edited = p.written, p.written
	disk.WriteFile(backup, []byte(generation(p.written)))
}

// keepEdit has p keep what a stranger has written, if the next backup is going to
// replace it.
func (p *promise) keepEdit(disk *durabletest.Disk) {
	there, _ := disk.ReadFile(backup)
	if n := number(there); n > 0 && n == p.written && n == p.edited {
		p.kept = n
	}
}

// keepHandOver has p keep the hand-over file, if a load is going to move it. What
// was kept before goes: Previous has one place.
func (p *promise) keepHandOver(disk *durabletest.Disk) {
	there, _ := disk.ReadFile(backup)
	if older, _ := disk.ReadFile(handOver); len(there) > 0 && len(older) > 0 {
		p.kept = number(older)
	}
}

// keeps reports whether the disk has what it is to keep.
func (p promise) keeps(disk *durabletest.Disk) bool {
	for _, name := range disk.Names() {
		if data, _ := disk.ReadFile(name); p.kept > 0 && string(data) == generation(p.kept) {
			return true
		}
	}
	return p.kept == 0
}

// load has a new process load, while the power fails in front of all it does.
// It returns nil if the load failed, as it may if it was disturbed.
func (m *model) load(disk *durabletest.Disk, now *promise, depth int) *durable.File {
	if m.end != nil {
		m.end()
	}
	now.keepHandOver(disk)
	p := disk.Process()
	fsys := m.plant(disk, p)
	m.end = func() {
		p.Kill()
		durable.Forget(fsys)
	}
	p.Before(func(string, string) {
		if m.ops >= m.at { // the run before has cut in front of the others
			m.cut(disk, *now, depth)
		}
		if m.ops == m.at {
			m.disturb(p)
		}
		m.ops++
	})
	before := m.ops
	file, loaded, err := m.start(disk, fsys)
	if err == nil {
		m.keeps(now, loaded)
		return file
	}
	if m.at < before || m.at >= m.ops {
		m.lost = append(m.lost, err.Error())
	}
	return nil
}

// keeps notes what was loaded, which later loads must not fall behind.
func (m *model) keeps(now *promise, loaded string) {
	n, ok := now.allows(loaded)
	if !ok {
		m.lost = append(m.lost, fmt.Sprintf("%+v, loaded %q", *now, loaded))
	}
	now.acknowledged = max(n, now.acknowledged)
	if n == now.kept {
		now.kept = 0 // it is the program's now
	}
}

// cut has the power fail: every disk that may be left must keep the promise.
func (m *model) cut(disk *durabletest.Disk, now promise, depth int) {
	if depth == 0 || !m.isNew("with pending changes", now, disk.State(), depth) {
		return
	}
	for image := range disk.Crashes() {
		if len(m.lost) > 0 {
			return
		}
		m.images++
		if !now.keeps(image) {
			m.lost = append(m.lost, fmt.Sprintf("%+v, kept nowhere", now))
		}
		if m.isNew("image", now, image.Fingerprint(), depth) {
			m.recover(image, now, depth-1)
		}
	}
}

// isNew reports whether a disk in that state was not yet tried to that depth, and
// notes that it is.
func (m *model) isNew(kind string, now promise, state string, depth int) bool {
	key := fmt.Sprintln(kind, now, state)
	if m.tried[key] >= depth {
		return false
	}
	m.tried[key] = depth
	return true
}

// recover starts a process on what a power cut has left, and has it write the
// next backup.
func (m *model) recover(disk *durabletest.Disk, now promise, depth int) {
	now.keepHandOver(disk)
	p := disk.Process()
	p.Before(func(string, string) { m.cut(disk, now, depth) })
	fsys := m.plant(disk, p)
	defer durable.Forget(fsys)
	file, loaded, err := m.start(disk, fsys)
	if err != nil {
		m.lost = append(m.lost, err.Error())
		return
	}
	m.keeps(&now, loaded)
	now.written++
	if err := commit(file, generation(now.written)); err != nil {
		m.lost = append(m.lost, err.Error())
		return
	}
	now.acknowledged = now.written
	m.cut(disk, now, depth)
}

// sequence has every kind of load and of backup follow every other.
var sequence = []string{"load", "commit", "load", "commit", "commit", "load", "load", "commit", "load"}

// sequences have also a stranger write at every stage, and stores that were never
// written to.
var sequences = [][]string{
	sequence,
	{"load", "blank", "commit", "edit", "commit", "commit", "load", "edit", "commit"},
	{"load", "commit", "load", "edit", "load", "blank", "commit"},
	{"load", "edit", "blank", "load", "blank", "edit", "load", "commit"},
}

func TestNoPowerCutLosesABackup(t *testing.T) {
	depth := 2
	if long() {
		depth = 4
	}
	m := newModel()
	for _, steps := range sequences {
		m.run(depth, steps...)
		require.Empty(t, m.lost)
	}
	t.Logf("%d disks without power, %d different", m.images, len(m.tried))
}

func TestNoPowerCutAfterAnErrorLosesABackup(t *testing.T) {
	disturbEverywhere(t, fail)
}

func TestNoPowerCutAfterAKillLosesABackup(t *testing.T) {
	disturbEverywhere(t, (*durabletest.Process).Kill)
}

func fail(p *durabletest.Process) { p.FailAt(p.Ops()-1, syscall.EIO, false) }

func disturbEverywhere(t *testing.T, disturb func(p *durabletest.Process)) {
	t.Parallel()
	depth := 1
	if long() {
		depth = 3
	}
	m := newModel()
	m.disturb = disturb
	for _, steps := range sequences {
		m.everywhere(depth, steps...)
		require.Empty(t, m.lost, "operation %d disturbed", m.at)
	}
	t.Logf("%d disks without power, %d different", m.images, len(m.tried))
}

// everywhere runs the steps with each operation in turn disturbed, until a run
// loses a backup.
func (m *model) everywhere(depth int, steps ...string) {
	for m.at, m.ops = 0, 0; m.ops >= m.at && len(m.lost) == 0; m.at++ {
		m.run(depth, steps...)
	}
}

// An editor that saves by renaming seldom syncs. What a load has given to the
// program is durable nevertheless.
func TestALoadMakesDurableWhatItLoads(t *testing.T) {
	disk := durabletest.NewDisk()
	disk.WriteFile(backup, []byte("old"))
	editByRename(t, disk, "edited")
	newProcess(t, disk, "edited")
	for image := range disk.Crashes() {
		require.Equal(t, "edited", recovered(t, image))
	}
}

func editByRename(t *testing.T, disk *durabletest.Disk, contents string) {
	t.Helper()
	editor := disk.Process()
	h, err := editor.Create("/disk/backup.json~")
	require.NoError(t, err)
	_, err = io.WriteString(h, contents)
	require.NoError(t, err)
	require.NoError(t, h.Close())
	require.NoError(t, editor.Rename("/disk/backup.json~", backup))
}

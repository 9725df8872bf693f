package durabletest_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

const name = "/disk/a"

var errFull = errors.New("disk full")

// crashes returns the different disks that a power cut may leave.
func crashes(d *durabletest.Disk) []string {
	var all []string
	for image := range d.Crashes() {
		all = append(all, image.Fingerprint())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func create(t *testing.T, p durable.FS, name, data string) durable.Handle {
	t.Helper()
	h, err := p.Create(name)
	require.NoError(t, err)
	_, err = io.WriteString(h, data)
	require.NoError(t, err)
	return h
}

func TestDirectoryChangesSurviveInAnySubset(t *testing.T) {
	d := durabletest.NewDisk()
	d.WriteFile("/disk/a", []byte("a"))
	d.WriteFile("/disk/b", []byte("b"))
	d.WriteFile("/disk/c", []byte("c"))
	require.Len(t, crashes(d), 1)

	p := d.Process()
	require.NoError(t, p.Rename("/disk/a", "/disk/b"))
	require.NoError(t, p.Remove("/disk/c"))
	require.ElementsMatch(t, []string{
		"[\"/disk/a\"] \"a\"\n[\"/disk/b\"] \"b\"\n[\"/disk/c\"] \"c\"",
		"[\"/disk/a\"] \"a\"\n[\"/disk/b\"] \"b\"",
		"[\"/disk/b\"] \"a\"\n[\"/disk/c\"] \"c\"",
		"[\"/disk/b\"] \"a\"",
	}, crashes(d))

	require.NoError(t, p.SyncDir("/disk"))
	require.Equal(t, []string{"[\"/disk/b\"] \"a\""}, crashes(d))
}

func TestContentsSurviveWithNothingHalfOrAll(t *testing.T) {
	d := durabletest.NewDisk()
	p := d.Process()
	h := create(t, p, name, "new")
	require.NoError(t, p.SyncDir("/disk"))
	require.Equal(t, []string{`["/disk/a"] ""`, `["/disk/a"] "n"`, `["/disk/a"] "new"`}, crashes(d))

	require.NoError(t, h.Sync())
	require.Equal(t, []string{`["/disk/a"] "new"`}, crashes(d))

	require.True(t, d.Truncate(name))
	require.Equal(t, []string{`["/disk/a"] ""`, `["/disk/a"] "n"`, `["/disk/a"] "new"`}, crashes(d))
	require.False(t, d.Truncate("/disk/none"))
}

func TestNoSyncSavesWhatOneHasLost(t *testing.T) {
	d := durabletest.NewDisk()
	p := d.Process()
	h := create(t, p, name, "new")
	require.NoError(t, p.SyncDir("/disk"))
	p.FailAt(p.Ops(), syscall.EIO, false)
	require.ErrorIs(t, h.Sync(), syscall.EIO)
	require.NoError(t, h.Sync())
	require.Len(t, crashes(d), 3)
}

// A write at the end of a synced file may be there in part, with zeros for the rest.
func TestAppendsSurviveInPart(t *testing.T) {
	d := durabletest.NewDisk()
	p := d.Process()
	h := create(t, p, name, "old")
	require.NoError(t, h.Sync())
	require.NoError(t, p.SyncDir("/disk"))
	_, err := h.Write([]byte("123456"))
	require.NoError(t, err)
	var found []string
	for image := range d.Crashes() {
		data, _ := image.ReadFile(name)
		found = append(found, string(data))
	}
	require.ElementsMatch(t, []string{
		"old", "old123", "old12345", "old123456", "old\x00\x00\x00\x00\x00\x00", "old123\x00\x00\x00", "old\x00\x00\x00456",
		"old12\x00\x0056",
	}, found)
	require.NoError(t, h.SyncData())
	require.Equal(t, []string{`["/disk/a"] "old123456"`}, crashes(d))
}

// What a failed Sync has lost stays in the page cache, and is zeros on the disk once
// more is written and synced.
func TestAFailedSyncLosesItsBytesAlone(t *testing.T) {
	d := durabletest.NewDisk()
	p := d.Process()
	h := create(t, p, name, "old")
	require.NoError(t, h.Sync())
	require.NoError(t, p.SyncDir("/disk"))
	_, err := h.Write([]byte("ab"))
	require.NoError(t, err)
	p.FailAt(p.Ops(), syscall.EIO, false)
	require.ErrorIs(t, h.SyncData(), syscall.EIO)
	require.NoError(t, h.Sync())
	require.Contains(t, crashes(d), `["/disk/a"] "old"`)
	_, err = h.Write([]byte("cd"))
	require.NoError(t, err)
	require.NoError(t, h.Sync())
	require.Contains(t, crashes(d), `["/disk/a"] "old\x00\x00cd"`)
	data, _ := d.ReadFile(name)
	require.Equal(t, "oldabcd", string(data))
}

// A later Sync tells bytes that are lost from bytes that are only not synced yet.
func TestTheStateTellsWhatIsLost(t *testing.T) {
	state := func(fails bool) string {
		d := durabletest.NewDisk()
		p := d.Process()
		h := create(t, p, name, "old")
		if fails {
			p.FailAt(p.Ops(), syscall.EIO, false)
			require.Error(t, h.Sync())
		}
		return d.State()
	}
	require.Equal(t, state(false), state(false))
	require.NotEqual(t, state(false), state(true))
}

func TestAnImageHasNothingInCommonWithItsDisk(t *testing.T) {
	d := durabletest.NewDisk()
	d.WriteFile(name, []byte("old"))
	locked, err := d.Process().OpenLock(name)
	require.NoError(t, err)
	require.NoError(t, locked.Lock())
	for image := range d.Crashes() {
		p := image.Process()
		h, err := p.OpenLock(name)
		require.NoError(t, err)
		require.NoError(t, h.Lock(), "no lock outlives a power cut")
		_, err = h.Write([]byte("newer"))
		require.NoError(t, err)
		require.NoError(t, p.Rename(name, "/disk/b"))
	}
	data, ok := d.ReadFile(name)
	require.True(t, ok)
	require.Equal(t, "old", string(data))
	require.Equal(t, []string{name}, d.Names())
}

func TestALockEndsWithItsHandleOrItsProcess(t *testing.T) {
	for how, end := range map[string]func(*durabletest.Process, durable.Handle){
		"Close":              func(_ *durabletest.Process, h durable.Handle) { _ = h.Close() },
		"Kill":               func(p *durabletest.Process, _ durable.Handle) { p.Kill() },
		"Kill, name removed": func(p *durabletest.Process, _ durable.Handle) { _ = p.Remove(name); p.Kill() },
	} {
		t.Run(how, func(t *testing.T) {
			d := durabletest.NewDisk()
			p, q := d.Process(), d.Process()
			h, err := p.OpenLock(name)
			require.NoError(t, err)
			other, err := q.OpenLock(name)
			require.NoError(t, err)
			require.NoError(t, h.Lock())
			require.NoError(t, h.Lock(), "again")
			require.ErrorIs(t, other.Lock(), durable.ErrInUse)
			end(p, h)
			require.NoError(t, other.Lock())
		})
	}
}

func TestALockStaysWhereItIs(t *testing.T) {
	d := durabletest.NewDisk()
	p, q := d.Process(), d.Process()
	h, err := p.OpenLock(name)
	require.NoError(t, err)
	require.NoError(t, h.Lock())
	second, err := p.OpenLock(name)
	require.NoError(t, err)
	require.ErrorIs(t, second.Lock(), durable.ErrInUse, "a lock belongs to a handle")
	require.NoError(t, second.Close())
	require.NoError(t, p.Rename(name, "/disk/b"))
	other, err := q.OpenLock("/disk/b")
	require.NoError(t, err)
	require.ErrorIs(t, other.Lock(), durable.ErrInUse, "the lock follows the file")
	again, err := q.OpenLock(name)
	require.NoError(t, err)
	require.NoError(t, again.Lock(), "a new file has a lock of its own")
}

func TestEveryOperationCanFail(t *testing.T) {
	d := durabletest.NewDisk()
	d.WriteFile(name, []byte("x"))
	p := d.Process()
	h, err := p.Open(name)
	require.NoError(t, err)
	info, err := h.Stat()
	require.NoError(t, err)
	opened := func(_ durable.Handle, err error) error { return err }
	for op, call := range map[string]func() error{
		"Resolve":  func() error { _, err := p.Resolve(name); return err },
		"Stat":     func() error { _, err := p.Stat(name); return err },
		"List":     func() error { _, err := p.List("/disk"); return err },
		"Create":   func() error { return opened(p.Create(name + "2")) },
		"Open":     func() error { return opened(p.Open(name)) },
		"OpenLock": func() error { return opened(p.OpenLock(name + "3")) },
		"Rename":   func() error { return p.Rename(name, "/disk/b") },
		"Remove":   func() error { return p.Remove(name) },
		"SyncDir":  func() error { return p.SyncDir("/disk") },
		"Read":     func() error { _, err := h.Read(make([]byte, 1)); return err },
		"Write":    func() error { _, err := h.Write([]byte{}); return err },
		"Sync":     h.Sync,
		"Close":    h.Close,
		"Chmod":    func() error { return h.Chmod(0o600) },
		"Chown":    func() error { return h.Chown(info) },
		"Lock":     h.Lock,
		"Fstat":    func() error { _, err := h.Stat(); return err },
	} {
		n := p.Ops()
		p.FailAt(n, syscall.EIO, false)
		require.ErrorIs(t, call(), syscall.EIO, op)
		require.Equal(t, op, strings.Fields(p.OpNames()[n])[0])
	}
	require.Equal(t, []string{name}, d.Names(), "an operation that fails has no effect")
}

func TestAKilledProcessDoesNothing(t *testing.T) {
	d := durabletest.NewDisk()
	p := d.Process()
	h := create(t, p, name, "x")
	p.Before(func(op, _ string) {
		if op == "Remove" {
			p.Kill()
		}
	})
	require.ErrorIs(t, p.Remove(name), durabletest.ErrKilled)
	_, err := h.Write([]byte("y"))
	require.ErrorIs(t, err, durabletest.ErrKilled)
	require.ErrorIs(t, h.Sync(), durabletest.ErrKilled)
	require.ErrorIs(t, h.Close(), durabletest.ErrKilled)
	data, ok := d.ReadFile(name)
	require.True(t, ok)
	require.Equal(t, "x", string(data))
}

func TestFaultsFailTheOperationAskedFor(t *testing.T) {
	d := durabletest.NewDisk()
	p := d.Process()
	scenario := func() (errs []error) {
		h, err := p.Create("/disk/.a.tmp-123")
		if err != nil {
			return []error{err}
		}
		_, written := io.WriteString(h, "four")
		return []error{nil, written, h.Close(), p.Rename("/disk/.a.tmp-123", name)}
	}

	p.FailAt(1, errFull, false)
	errs := scenario()
	require.ErrorIs(t, errs[1], errFull)
	require.NoError(t, errs[3])
	data, _ := d.ReadFile(name)
	require.Equal(t, "fo", string(data), "a short write")
	require.Equal(t, []string{"Create .a.tmp-*", "Write .a.tmp-*", "Close .a.tmp-*", "Rename .a.tmp-* a"}, p.OpNames())

	p.FailAt(p.Ops()+2, syscall.EIO, true)
	errs = scenario()
	require.NoError(t, errs[1])
	require.ErrorIs(t, errs[2], syscall.EIO)
	require.ErrorIs(t, errs[3], syscall.EIO)

	require.NoError(t, d.Process().Remove("/disk/.a.tmp-123"), "another process has no part in it")
	p.Heal()
	for _, err := range scenario() {
		require.NoError(t, err)
	}
	require.Equal(t, 12, p.Ops())
}

func TestAHookMayBlockInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := durabletest.NewDisk()
		p := d.Process()
		reached, release := make(chan string), make(chan struct{})
		p.Before(func(op, name string) {
			reached <- op + " " + name
			<-release
		})
		done := make(chan error)
		go func() { done <- p.SyncDir("/disk") }()
		require.Equal(t, "SyncDir /disk", <-reached)
		synctest.Wait()
		require.Equal(t, 1, p.Ops(), "nothing is locked meanwhile")
		require.Empty(t, d.Names())
		close(release)
		require.NoError(t, <-done)
	})
}

func TestFaultsOverTheRealSystem(t *testing.T) {
	f := durabletest.Over(durable.OS{})
	path := filepath.Join(t.TempDir(), "a")
	h := create(t, f, path, "real")
	require.NoError(t, h.Chmod(0o600))
	f.FailAt(f.Ops(), syscall.EIO, true)
	require.ErrorIs(t, h.Sync(), syscall.EIO)
	_, err := f.Stat(path)
	require.ErrorIs(t, err, syscall.EIO)
	f.Heal()
	require.NoError(t, h.Sync())
	require.NoError(t, h.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "real", string(data))
}

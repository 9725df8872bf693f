package durabletest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/windevkay/forge/genie/internal/durable"
)

// ErrKilled is the error of every operation of a killed process.
var ErrKilled = errors.New("process was killed")

// A Process sees a [Disk] the way one process of a real system does: its open
// files and locks are its own, until Kill. A Process is a [durable.FS], and
// its operations can be made to fail.
type Process struct {
	*Faults
	mount *mount
}

// Process starts a process that works on d.
func (d *Disk) Process() *Process {
	m := &mount{disk: d}
	return &Process{Over(m), m}
}

// Kill ends the process as kill -9 would: the locks are gone, and no later
// operation has an effect. Called by the hook of Before, it kills the
// process in front of that operation.
func (p *Process) Kill() {
	d := p.mount.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	p.mount.killed = true
}

// A mount is a process's view of a disk.
type mount struct {
	disk   *Disk
	killed bool
	open   int // handles that are not closed
}

// OpenHandles returns how many handles the process has not closed.
func (p *Process) OpenHandles() int {
	p.mount.disk.mu.Lock()
	defer p.mount.disk.mu.Unlock()
	return p.mount.open
}

// on locks the disk for an operation and returns how to end it.
func (m *mount) on() (end func(), err error) {
	m.disk.mu.Lock()
	if m.killed {
		m.disk.mu.Unlock()
		return nil, ErrKilled
	}
	return m.disk.mu.Unlock, nil
}

// Resolve finds no links: there are none on a Disk.
func (m *mount) Resolve(name string) (string, error) {
	end, err := m.on()
	if err != nil {
		return "", err
	}
	defer end()
	return name, nil
}

func (m *mount) Stat(name string) (fs.FileInfo, error) {
	end, err := m.on()
	if err != nil {
		return nil, err
	}
	defer end()
	file, err := m.find("stat", name)
	if err != nil {
		return nil, err
	}
	return newInfo(name, file), nil
}

func (m *mount) find(op, name string) (*inode, error) {
	if file := m.disk.names[slashed(name)]; file != nil {
		return file, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func (m *mount) Same(a, b fs.FileInfo) bool { return a.Sys() == b.Sys() }

func (m *mount) List(dir string) ([]string, error) {
	end, err := m.on()
	if err != nil {
		return nil, err
	}
	defer end()
	var names []string
	for name := range m.disk.names {
		if path.Dir(name) == path.Clean(slashed(dir)) {
			names = append(names, path.Base(name))
		}
	}
	return names, nil
}

func (m *mount) Create(name string) (durable.Handle, error) {
	end, err := m.on()
	if err != nil {
		return nil, err
	}
	defer end()
	if m.disk.names[slashed(name)] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	file := m.disk.newFile()
	m.disk.change(dirChange{slashed(name): file})
	return m.handle(&handle{mount: m, name: name, file: file}), nil
}

func (m *mount) Open(name string) (durable.Handle, error) {
	end, err := m.on()
	if err != nil {
		return nil, err
	}
	defer end()
	file, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	return m.handle(&handle{mount: m, name: name, file: file}), nil
}

func (m *mount) OpenLock(name string) (durable.Handle, error) {
	end, err := m.on()
	if err != nil {
		return nil, err
	}
	defer end()
	file := m.disk.names[slashed(name)]
	if file == nil {
		file = m.disk.newFile()
		m.disk.change(dirChange{slashed(name): file})
	}
	return m.handle(&handle{mount: m, name: name, file: file, isLock: true}), nil
}

func (m *mount) handle(h *handle) *handle {
	m.open++
	return h
}

func (m *mount) Rename(from, to string) error {
	end, err := m.on()
	if err != nil {
		return err
	}
	defer end()
	file := m.disk.names[slashed(from)]
	if file == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrNotExist}
	}
	if m.disk.names[slashed(to)] != file {
		m.disk.change(dirChange{slashed(from): nil, slashed(to): file})
	}
	return nil
}

func (m *mount) Remove(name string) error {
	end, err := m.on()
	if err != nil {
		return err
	}
	defer end()
	if _, err := m.find("remove", name); err != nil {
		return err
	}
	m.disk.change(dirChange{slashed(name): nil})
	return nil
}

func (m *mount) SyncDir(string) error {
	end, err := m.on()
	if err != nil {
		return err
	}
	defer end()
	m.disk.syncDir()
	return nil
}

// A handle is an open file of a process.
type handle struct {
	mount  *mount
	name   string
	file   *inode
	offset int
	isLock bool
	closed bool
}

func (h *handle) on() (end func(), err error) {
	end, err = h.mount.on()
	if err == nil && h.closed {
		end()
		return nil, &fs.PathError{Op: "use", Path: h.name, Err: fs.ErrClosed}
	}
	return end, err
}

func (h *handle) Read(b []byte) (int, error) {
	end, err := h.on()
	if err != nil {
		return 0, err
	}
	defer end()
	if h.offset >= len(h.file.data) {
		return 0, io.EOF
	}
	n := copy(b, h.file.data[h.offset:])
	h.offset += n
	return n, nil
}

func (h *handle) Write(b []byte) (int, error) {
	end, err := h.on()
	if err != nil {
		return 0, err
	}
	defer end()
	if h.isLock { // the text does not matter, so no power cut takes it
		h.file.data, h.file.synced = bytes.Clone(b), bytes.Clone(b)
		return len(b), nil
	}
	h.file.data = append(h.file.data, b...)
	h.file.modTime = h.mount.disk.tick()
	return len(b), nil
}

// Sync makes durable what was written since the last Sync, but for what one that
// failed has lost.
func (h *handle) Sync() error {
	end, err := h.on()
	if err != nil {
		return err
	}
	defer end()
	h.file.synced = h.file.afterSync()
	return nil
}

// SyncData is Sync: the model has no times on its disk.
func (h *handle) SyncData() error { return h.Sync() }

// lose has the effect of a failed Sync on ext4, XFS and btrfs: the kernel takes the
// pages for written, and the next Sync has nothing left to do for them.
func (h *handle) lose() {
	if end, err := h.on(); err == nil {
		defer end()
		h.file.lose()
	}
}

func (h *handle) Chmod(mode fs.FileMode) error {
	end, err := h.on()
	if err != nil {
		return err
	}
	defer end()
	h.file.mode = mode
	return nil
}

func (h *handle) Chown(fs.FileInfo) error {
	end, err := h.on()
	if err == nil {
		end()
	}
	return err
}

func (h *handle) Lock() error {
	end, err := h.on()
	if err != nil {
		return err
	}
	defer end()
	if l := h.file.locked; l != nil && l != h && !l.mount.killed {
		return durable.ErrInUse
	}
	h.file.locked = h
	return nil
}

func (h *handle) Stat() (fs.FileInfo, error) {
	end, err := h.on()
	if err != nil {
		return nil, err
	}
	defer end()
	return newInfo(h.name, h.file), nil
}

func (h *handle) Close() error {
	end, err := h.on()
	if err != nil {
		return err
	}
	defer end()
	h.closed = true
	h.mount.open--
	if h.file.locked == h {
		h.file.locked = nil
	}
	return nil
}

// An info describes a file at the time of the Stat.
type info struct {
	name    string
	size    int64
	mode    fs.FileMode
	modTime time.Time
	file    *inode
}

func newInfo(name string, file *inode) info {
	return info{path.Base(slashed(name)), int64(len(file.data)), file.mode, file.modTime, file}
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.modTime }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return i.file }

package durabletest

import (
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/windevkay/forge/genie/internal/durable"
)

// Faults is a [durable.FS] that passes operations on to another, numbers them
// from 0, and has those fail that a test asks for. Its methods may be called by
// several goroutines.
//
// The operations are named Resolve, Stat, List, Create, Open, OpenLock, Rename,
// Remove and SyncDir, and those of handles Read, Write, Sync, SyncData, Close, Chmod,
// Chown, Lock and Fstat.
type Faults struct {
	under durable.FS

	mu     sync.Mutex // guards what follows; not held by a hook or an operation
	steps  []step
	before func(op, name string)
	from   int // operations from <= n < to fail with err
	to     int
	err    error
}

type step struct {
	op    string
	names []string
}

// Over returns Faults over the operations of under.
func Over(under durable.FS) *Faults { return &Faults{under: under} }

// FailAt has the n-th operation fail with err, and if sticky all after it. Only
// the last call counts. An operation that fails has no effect, but that Write
// writes half, Close closes, and after a Sync of a [Disk] no other can save the
// file.
func (f *Faults) FailAt(n int, err error, sticky bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from, f.to, f.err = n, n+1, err
	if sticky {
		f.to = math.MaxInt
	}
}

// Heal ends what FailAt began.
func (f *Faults) Heal() { f.FailAt(-1, nil, false) }

// Ops returns how many operations there were so far, those that failed
// included. It is also the number of the next one.
func (f *Faults) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.steps)
}

// OpNames returns the operations so far, each with the base names of its files,
// such as "Rename .backup.json.tmp-* backup.json".
func (f *Faults) OpNames() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, len(f.steps))
	for i, s := range f.steps {
		names[i] = s.String()
	}
	return names
}

func (s step) String() string {
	words := []string{s.op}
	for _, name := range s.names {
		words = append(words, withoutRandom(path.Base(slashed(name))))
	}
	return strings.Join(words, " ")
}

// Before has hook called in front of every operation, by the goroutine at work,
// with the full name of its file; for a Rename with the new one. The hook may
// block, and it may call any method of Faults: the operation has its number
// already, which is Ops()-1 where no other goroutine is at work.
func (f *Faults) Before(hook func(op, name string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = hook
}

// step begins an operation and returns the error it is to fail with.
func (f *Faults) step(op string, names ...string) error {
	f.mu.Lock()
	n, hook := len(f.steps), f.before
	f.steps = append(f.steps, step{op, names})
	f.mu.Unlock()
	if hook != nil {
		hook(op, names[len(names)-1])
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.from <= n && n < f.to && f.err != nil {
		return &fs.PathError{Op: strings.ToLower(op), Path: names[0], Err: f.err}
	}
	return nil
}

// Resolve is an operation of [durable.FS].
func (f *Faults) Resolve(name string) (string, error) {
	if err := f.step("Resolve", name); err != nil {
		return "", err
	}
	return f.under.Resolve(name)
}

// Stat is an operation of [durable.FS].
func (f *Faults) Stat(name string) (fs.FileInfo, error) {
	if err := f.step("Stat", name); err != nil {
		return nil, err
	}
	return f.under.Stat(name)
}

// Same asks nothing of the disk, and is not counted.
func (f *Faults) Same(a, b fs.FileInfo) bool { return f.under.Same(a, b) }

// List is an operation of [durable.FS].
func (f *Faults) List(dir string) ([]string, error) {
	if err := f.step("List", dir); err != nil {
		return nil, err
	}
	names, err := f.under.List(dir)
	slices.Sort(names)
	return names, err
}

// Create is an operation of [durable.FS].
func (f *Faults) Create(name string) (durable.Handle, error) {
	if err := f.step("Create", name); err != nil {
		return nil, err
	}
	h, err := f.under.Create(name)
	return f.opened(h, name), err
}

// Open is an operation of [durable.FS].
func (f *Faults) Open(name string) (durable.Handle, error) {
	if err := f.step("Open", name); err != nil {
		return nil, err
	}
	h, err := f.under.Open(name)
	return f.opened(h, name), err
}

// OpenLock is an operation of [durable.FS].
func (f *Faults) OpenLock(name string) (durable.Handle, error) {
	if err := f.step("OpenLock", name); err != nil {
		return nil, err
	}
	h, err := f.under.OpenLock(name)
	return f.opened(h, name), err
}

// Rename is an operation of [durable.FS].
func (f *Faults) Rename(from, to string) error {
	if err := f.step("Rename", from, to); err != nil {
		return err
	}
	return f.under.Rename(from, to)
}

// Remove is an operation of [durable.FS].
func (f *Faults) Remove(name string) error {
	if err := f.step("Remove", name); err != nil {
		return err
	}
	return f.under.Remove(name)
}

// SyncDir is an operation of [durable.FS].
func (f *Faults) SyncDir(dir string) error {
	if err := f.step("SyncDir", dir); err != nil {
		return err
	}
	return f.under.SyncDir(dir)
}

func (f *Faults) opened(h durable.Handle, name string) durable.Handle {
	if h == nil {
		return nil
	}
	return &faultyHandle{h, f, name}
}

type faultyHandle struct {
	under  durable.Handle
	faults *Faults
	name   string
}

func (h *faultyHandle) Read(b []byte) (int, error) {
	if err := h.faults.step("Read", h.name); err != nil {
		return 0, err
	}
	return h.under.Read(b)
}

func (h *faultyHandle) Write(b []byte) (int, error) {
	if err := h.faults.step("Write", h.name); err != nil {
		n, _ := h.under.Write(b[:len(b)/2])
		return n, err
	}
	return h.under.Write(b)
}

func (h *faultyHandle) Sync() error     { return h.sync("Sync", h.under.Sync) }
func (h *faultyHandle) SyncData() error { return h.sync("SyncData", h.under.SyncData) }

func (h *faultyHandle) sync(op string, sync func() error) error {
	if err := h.faults.step(op, h.name); err != nil {
		if modelled, ok := h.under.(*handle); ok {
			modelled.lose()
		}
		return err
	}
	return sync()
}

func (h *faultyHandle) Close() error {
	err := h.faults.step("Close", h.name)
	if closed := h.under.Close(); err == nil {
		err = closed
	}
	return err
}

func (h *faultyHandle) Chmod(mode fs.FileMode) error {
	if err := h.faults.step("Chmod", h.name); err != nil {
		return err
	}
	return h.under.Chmod(mode)
}

func (h *faultyHandle) Chown(like fs.FileInfo) error {
	if err := h.faults.step("Chown", h.name); err != nil {
		return err
	}
	return h.under.Chown(like)
}

func (h *faultyHandle) Lock() error {
	if err := h.faults.step("Lock", h.name); err != nil {
		return err
	}
	return h.under.Lock()
}

func (h *faultyHandle) Stat() (fs.FileInfo, error) {
	if err := h.faults.step("Fstat", h.name); err != nil {
		return nil, err
	}
	return h.under.Stat()
}

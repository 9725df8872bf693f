// Package durabletest has file systems for tests of what happens when the disk
// fails, the process is killed or the power goes. A [Disk] is a model that keeps
// written contents apart from contents that survive a power cut; [Faults] lets the
// operations of any file system fail.
package durabletest

import (
	"bytes"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Disk is one directory, on which any number of processes work. Its methods
// may be called by several goroutines.
//
// A power cut leaves as little as a file system may promise: of the changes to the
// directory since the last SyncDir any subset, each change whole; of the contents
// written since the last Sync of a file nothing, half or all; of what was appended to a
// synced file also all but the last byte, or zeros in any part.
type Disk struct {
	mu      sync.Mutex        // guards all of the disk, its inodes, mounts and handles
	names   map[string]*inode // as processes see them
	durable map[string]*inode // as of the last SyncDir
	pending []dirChange       // what leads from durable to names
	clock   time.Time         // of the last change, for ModTime
}

// An inode is a file. It may have several names.
type inode struct {
	data    []byte // as processes see it
	synced  []byte // certain to survive a power cut
	lost    []span // a Sync has failed: later ones do nothing for these bytes
	mode    fs.FileMode
	modTime time.Time
	locked  *handle // has the lock, or nil
}

// A span is the bytes of a file from one place to before another.
type span struct{ from, to int }

// afterSync returns the contents that are certain after a Sync. The bytes that are
// lost are not on the disk, whatever the page cache shows: there are zeros in their
// place if bytes behind them were written since, and else nothing.
func (i *inode) afterSync() []byte {
	data := slices.Clone(i.data)
	for _, s := range i.lost {
		if s.to >= len(i.data) {
			return data[:min(s.from, len(data))]
		}
		clear(data[s.from:s.to])
	}
	return data
}

// lose has a Sync fail: the bytes since the last one are never written.
func (i *inode) lose() {
	from := 0
	if bytes.HasPrefix(i.data, i.synced) {
		from = len(i.synced)
	}
	i.lost = append(i.lost, span{from, len(i.data)})
}

// A dirChange gives names other inodes, or nil for none, in one step.
type dirChange map[string]*inode

// NewDisk returns an empty disk.
func NewDisk() *Disk {
	return &Disk{names: map[string]*inode{}, durable: map[string]*inode{}}
}

// ReadFile returns the contents of name as processes see them, and whether
// there is such a file.
func (d *Disk) ReadFile(name string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	file := d.names[slashed(name)]
	if file == nil {
		return nil, false
	}
	return slices.Clone(file.data), true
}

// WriteFile makes name a new file with data in it, durably: the work of a
// program that does not use package durable.
func (d *Disk) WriteFile(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	file := d.newFile()
	file.data, file.synced = slices.Clone(data), slices.Clone(data)
	d.change(dirChange{slashed(name): file})
	d.syncDir()
}

// Truncate empties name in place, which does not survive a power cut for
// certain, so package durable avoids it. Truncate reports whether there is such a file.
func (d *Disk) Truncate(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	file := d.names[slashed(name)]
	if file != nil {
		file.data, file.modTime = nil, d.tick()
	}
	return file != nil
}

// Append adds data to name in place, as a program does that does not use package
// durable. It reports whether there is such a file.
func (d *Disk) Append(name, data string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	file := d.names[slashed(name)]
	if file != nil {
		file.data, file.modTime = append(slices.Clone(file.data), data...), d.tick()
	}
	return file != nil
}

// Names returns the full names of all files, sorted.
func (d *Disk) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names))
}

// Fingerprint returns a string that two disks share if processes that start now
// cannot tell them apart: it has the contents of every file and all its names,
// but not the random part of the names of temporary files.
func (d *Disk) Fingerprint() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	links := map[*inode][]string{}
	for name, file := range d.names {
		links[file] = append(links[file], withoutRandom(name))
	}
	files := make([]string, 0, len(links))
	for file, names := range links {
		slices.Sort(names)
		files = append(files, fmt.Sprintf("%q %q", names, file.data))
	}
	slices.Sort(files)
	return strings.Join(files, "\n")
}

// State returns a string that two disks share if neither a process that starts now
// nor a power cut can tell the disks apart.
func (d *Disk) State() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := describer{files: map[*inode]int{}, temps: map[string]int{}}
	state.add(d.durable)
	for _, change := range d.pending {
		state.add(change)
	}
	return state.text.String()
}

// A describer gives files and temporary names numbers in place of random parts.
type describer struct {
	text  strings.Builder
	files map[*inode]int
	temps map[string]int
}

func (s *describer) add(names map[string]*inode) {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		short, file := withoutRandom(name), names[name]
		s.string(short)
		if short != name {
			s.number(numberOf(s.temps, name))
		}
		if file != nil {
			s.file(file)
		}
		s.text.WriteByte('\n')
	}
	s.text.WriteByte('\n')
}

func (s *describer) file(file *inode) {
	s.number(numberOf(s.files, file))
	s.string(string(file.data))
	s.string(string(file.synced))
	for _, lost := range file.lost {
		s.number(lost.from)
		s.number(lost.to)
	}
}

// string writes text with its length in front, in place of quotes: the models describe a
// disk in front of every operation.
func (s *describer) string(text string) {
	s.number(len(text))
	s.text.WriteString(text)
}

func (s *describer) number(n int) {
	s.text.WriteString(strconv.Itoa(n))
	s.text.WriteByte(' ')
}

func numberOf[K comparable](numbers map[K]int, key K) int {
	n, ok := numbers[key]
	if !ok {
		n = len(numbers)
		numbers[key] = n
	}
	return n
}

// Crashes returns every disk that a power cut at this moment may leave. They
// have nothing in common with d or with each other. Their number doubles with
// every unsynced change of the directory and triples with every unsynced file.
func (d *Disk) Crashes() iter.Seq[*Disk] {
	return func(yield func(*Disk) bool) {
		for names := range d.survivingNames() {
			for image := range d.survivingContents(names) {
				if !yield(image) {
					return
				}
			}
		}
	}
}

// survivingNames yields the names after every subset of the pending changes.
func (d *Disk) survivingNames() iter.Seq[map[string]*inode] {
	d.mu.Lock()
	before, pending := d.durable, slices.Clone(d.pending)
	d.mu.Unlock()
	return func(yield func(map[string]*inode) bool) {
		for subset := range uint64(1) << len(pending) {
			names := maps.Clone(before)
			for i, change := range pending {
				if subset>>i&1 == 1 {
					change.apply(names)
				}
			}
			if !yield(names) {
				return
			}
		}
	}
}

// survivingContents yields a disk with these names for every combination of
// surviving contents of the files.
func (d *Disk) survivingContents(names map[string]*inode) iter.Seq[*Disk] {
	contents := d.possibleContents(names)
	files := slices.Collect(maps.Keys(contents))
	return func(yield func(*Disk) bool) {
		choice := make(map[*inode][]byte, len(files))
		var choose func(rest []*inode) bool
		choose = func(rest []*inode) bool {
			if len(rest) == 0 {
				return yield(newImage(names, choice))
			}
			for _, data := range contents[rest[0]] {
				choice[rest[0]] = data
				if !choose(rest[1:]) {
					return false
				}
			}
			return true
		}
		choose(files)
	}
}

func (d *Disk) possibleContents(names map[string]*inode) map[*inode][][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	contents := map[*inode][][]byte{}
	for _, file := range names {
		contents[file] = file.afterCrash()
	}
	return contents
}

// afterCrash returns the contents that may survive: the written ones, the synced
// ones, or a mixture. Of bytes that were appended to a synced file, each part may be
// missing or be zeros: a file system writes the size and the blocks in any order.
func (i *inode) afterCrash() [][]byte {
	if string(i.data) == string(i.synced) {
		return [][]byte{i.synced}
	}
	if len(i.synced) > 0 && bytes.HasPrefix(i.data, i.synced) {
		return i.afterAppend()
	}
	longer := i.data
	if len(i.synced) > len(longer) {
		longer = i.synced
	}
	half := longer[:(len(i.data)+len(i.synced))/2]
	return [][]byte{slices.Clone(i.synced), slices.Clone(half), slices.Clone(i.data)}
}

func (i *inode) afterAppend() (contents [][]byte) {
	tail := i.data[len(i.synced):]
	n := len(tail)
	for _, keep := range []struct{ length, zerosFrom, zerosTo int }{
		{0, 0, 0}, {n / 2, 0, 0}, {n - 1, 0, 0}, {n, 0, n}, {n, n / 2, n}, {n, 0, n / 2}, {n, n / 3, 2 * n / 3}, {n, 0, 0},
	} {
		part := slices.Clone(tail[:keep.length])
		clear(part[keep.zerosFrom:keep.zerosTo])
		contents = append(contents, slices.Concat(i.synced, part))
	}
	return contents
}

// newImage returns a disk on which everything is synced.
func newImage(names map[string]*inode, contents map[*inode][]byte) *Disk {
	image := NewDisk()
	copies := make(map[*inode]*inode, len(contents))
	for file, data := range contents {
		copied := image.newFile()
		copied.data, copied.synced, copied.mode = slices.Clone(data), data, file.mode
		copies[file] = copied
	}
	for name, file := range names {
		image.names[name], image.durable[name] = copies[file], copies[file]
	}
	return image
}

func (d *Disk) newFile() *inode { return &inode{mode: 0o600, modTime: d.tick()} }

// tick returns a later time than ever before: two changes never look the same.
func (d *Disk) tick() time.Time {
	d.clock = d.clock.Add(time.Microsecond)
	return d.clock
}

func (d *Disk) change(c dirChange) {
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

func (c dirChange) apply(names map[string]*inode) {
	for name, file := range c {
		if file == nil {
			delete(names, name)
		} else {
			names[name] = file
		}
	}
}

func (d *Disk) syncDir() { d.durable, d.pending = maps.Clone(d.names), nil }

// slashed is how the disk keeps names on every system.
func slashed(name string) string { return filepath.ToSlash(name) }

// withoutRandom cuts off the random part of the name of a temporary file.
func withoutRandom(name string) string {
	if i := strings.Index(name, ".tmp-"); i >= 0 {
		return name[:i] + ".tmp-*"
	}
	return name
}

// Package genie keeps a map of strings in memory, safe for any number of
// goroutines, and backs the map up to a file by itself.
//
//	func run(path string) (err error) {
//		store, err := genie.NewStore(genie.WithPath(path))
//		if err != nil {
//			return err // the file is in use, is damaged, or its folder cannot be written
//		}
//		defer func() { err = errors.Join(err, store.Close()) }() // the last backup
//		store.StartAutoBackup(time.Minute)                       // the others
//		value, ok := store.Get("greeting")
//		store.Set("greeting", "hello")
//		…
//	}
//
// The next [NewStore] on the same path loads the backup. [Store.View] and
// [Store.Update] read and write many keys as one step.
//
// A program that only needs a map shared by goroutines is better served by a map
// under a [sync.RWMutex], which answers a read in a tenth of the time
// (bench/results). A [Store] earns its cost where the contents must survive a
// restart, where a backup must not stop the program, or where many reads or writes
// must see one consistent state.
//
// # Durability
//
// A write is in memory when its method returns. A crash loses the writes that came
// after the last backup or [Store.Sync]. In a store [WithJournal], Sync and the
// automatic backups write only the changes. A backup is durable when [Store.Backup]
// returns nil: the new file has replaced the old one as a whole and survives a power
// cut.
//
// One process owns a backup file: [NewStore] locks the file "NAME.lock" beside the
// backup file NAME, or fails with [ErrInUse]. Other processes may read the backup
// meanwhile, by [WithReadOnly].
//
// NewStore loads the backup file and leaves the file empty. The contents are then in
// a second file, the hand-over file "NAME.loaded", until the first backup succeeds.
// So a start sees:
//
//	the program before it                      NewStore loads
//	closed the store, or backed up last        all of that backup
//	ended or crashed since a backup            the last backup that succeeded
//	ended or crashed before its first backup   the contents that it had loaded
//	crashed or lost power during a backup      the old backup or the new one, whole
//	still runs                                 nothing: NewStore fails with ErrInUse
//
// If another program, such as an editor, has written the backup file since, the next
// backup keeps that file as "NAME.prev". Only a file that is written in the very
// instant in which a backup replaces it is lost.
//
// # Views
//
// [Store.View], [Store.All], [Store.Snapshot], [Store.WriteTo] and the backups read
// the map as it was at one instant. Taking such a view costs the same whatever the
// size of the map, and other goroutines go on reading and writing meanwhile.
//
// # One owner
//
// One goroutine at a time, the owner, has the map. The methods send commands to
// the owner through one channel, and the owner applies them in their order. So
// every method is linearizable: it takes effect at one instant between its call
// and its return. In the words of the Go memory model, a write "synchronizes
// before" every read that observes it. The owner runs only while commands are
// pending, so an idle store has no goroutine. A store that the program forgets is
// garbage, and its lock ends with it. Automatic backups keep a store alive, and its
// lock held, until StopAutoBackup or Close.
//
// # Tests
//
// A store that is made inside a testing/synctest bubble works there, automatic
// backups included. A store must not be used on both sides of a bubble: the
// runtime ends the program when a channel of a bubble is used outside.
//
// The default file is one per user and not one per program or package. Tests
// should give each store a path in a folder of its own, as t.TempDir returns.
package genie

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"
	"weak"

	"github.com/windevkay/forge/genie/internal/codec"
	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/reentry"
	"github.com/windevkay/forge/genie/internal/trie"
)

// DefaultFile is the name of the backup file, in the user's home folder, of a store
// that is made without [WithPath]. All programs of the user share that file, so a
// program that keeps anything of value should choose a path.
const DefaultFile = ".kvstore_backup.json"

// Errors to test for with [errors.Is]. Errors of the operating system are found in
// the same way: [io/fs.ErrPermission], [syscall.ENOSPC].
var (
	// ErrCorrupt is in every [*CorruptError].
	ErrCorrupt = errors.New("corrupt backup")

	// ErrNotRegular is given for a directory, a pipe, a socket or a device in the
	// place of the backup file.
	ErrNotRegular = durable.ErrNotRegular

	// ErrInUse is given when another process owns the backup file. The error names
	// the lock file and, where known, the number of that process.
	ErrInUse = durable.ErrInUse

	// ErrReadOnly is given by the saves of a store that WithReadOnly has opened.
	ErrReadOnly = errors.New("store is read-only")

	// ErrNoFile is given by the saves of a store that WithoutFile has made.
	ErrNoFile = errors.New("store has no file")

	// ErrInterval is given for an interval that is not positive.
	ErrInterval = errors.New("interval must be positive")

	// ErrNotInteger is given by [Store.Increment] for a value that is no decimal integer.
	ErrNotInteger = errors.New("value is not an integer")

	// ErrOverflow is given by [Store.Increment] for a value, or a sum, that does not fit
	// an int64.
	ErrOverflow = errors.New("integer overflow")
)

// A CorruptError reports the place where a file departs from the format of a
// backup: one JSON object in UTF-8, whose values are strings, or objects of a string and
// a deadline, without a duplicate name.
type CorruptError struct {
	Path   string // the file, or "" for the reader of a ReadFrom
	Offset int64  // how many bytes come before the place
	Line   int    // the line of the place, from 1
	Key    string // the key whose entry is at fault, or "" if none is known
	Err    error  // the fault
}

// Error names the file, the place and the fault.
func (e *CorruptError) Error() string {
	what := "load " + e.Path
	if e.Path == "" {
		what = "read"
	}
	return fmt.Sprintf("genie: %s: %v: line %d, byte %d: %v", what, ErrCorrupt, e.Line, e.Offset, e.Err)
}

// Unwrap returns [ErrCorrupt] and e.Err.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

// A Store is a map of strings to strings, with a backup file, that any number of
// goroutines may use at once. Only [NewStore] makes a Store: methods of the zero
// Store panic. A Store must not be copied.
//
// Keys and values may hold any bytes. A method may be called by any goroutine at
// any time, also after [Store.Close]. Calls from inside the function of an
// [Store.Update] are the exception.
type Store struct {
	// Immutable after NewStore; safe from any goroutine.
	mailbox    chan command // from callers to the owner
	owner      func()       // loop, bound
	gets       pool[*getCmd]
	sets       pool[*setCmd]
	getOrSets  pool[*getOrSetCmd]
	swaps      pool[*swapCmd]
	increments pool[*incrementCmd]
	views      pool[*viewCmd]
	updates    pool[*updateCmd]

	clock clock // read by every caller; written once, if at all

	// Written by the caller inside an Update, under the race detector only.
	reentry reentry.Guard

	// Written by every sender, and so kept off the cache lines of the fields
	// that every sender reads.
	_     cacheLine
	owned atomic.Bool // an owner runs, or is about to
	_     cacheLine

	// Owned by the owner.
	state state
	group [groupSize]command // nil but for commands that were received and not applied
}

// A cacheLine of padding keeps a field that one CPU writes away from fields that
// other CPUs read.
type cacheLine [64]byte

// An Option changes what [NewStore] makes. If an Option has an invalid argument, NewStore
// returns that Option's error.
type Option func(*settings) error

type settings struct {
	path        string
	lockTimeout time.Duration
	readOnly    bool
	noFile      bool
	journal     bool
	logger      *slog.Logger // nil for none
}

// defaultLockTimeout is long enough for a program that is being restarted to write
// its last backup, and short enough for a person who has started a program twice.
const defaultLockTimeout = time.Second

// WithPath makes path the backup file, in place of [DefaultFile] in the home
// folder. The folder of path must exist. A relative path starts at the working
// folder of the moment in which NewStore is called. A leading ~ is not expanded. If
// path is a symbolic link, the backup file is the file that the link leads to, and
// the link stays. NewStore refuses the names that Genie gives to the files beside a
// backup file, unless the store is read-only: those that end in ".lock", ".loaded" or
// ".prev", and those of temporary files.
func WithPath(path string) Option {
	return func(s *settings) error {
		if path == "" {
			return fmt.Errorf("WithPath: empty path: %w", os.ErrInvalid)
		}
		s.path = path
		return nil
	}
}

// WithLockTimeout sets how long [NewStore] waits for another process that owns the
// backup file, in place of one second. With 0, NewStore fails at once. A service that
// is restarted needs at least the time that its predecessor's Close takes.
// A Backup after a [Store.Close] waits for as long.
func WithLockTimeout(d time.Duration) Option {
	return func(s *settings) error {
		if d < 0 {
			return fmt.Errorf("WithLockTimeout: negative time %v: %w", d, os.ErrInvalid)
		}
		s.lockTimeout = d
		return nil
	}
}

// WithReadOnly makes a store with the contents that a start would find now, and
// touches nothing: no lock is taken, no file is made, emptied, renamed or synced. So
// NewStore works beside a process that owns the file, in a folder that must not be
// written to, and as a user who may only read. The contents are one whole backup,
// read as strictly as ever, and do not follow later backups.
//
// If neither the backup file nor the hand-over file exists, NewStore fails with an
// error that is [io/fs.ErrNotExist]. Writes to the store stay in memory.
// [Store.Backup] returns an error that is [ErrReadOnly], [Store.StartAutoBackup]
// reports it, and [Store.Close] returns nil.
func WithReadOnly() Option {
	return func(s *settings) error {
		s.readOnly = true
		return nil
	}
}

// WithJournal has automatic backups and [Store.Sync] write the changes, and not the whole
// map: they append the entries that were set and deleted to the backup file, as one line
// of JSON, a step. [Store.Backup], [Store.Close], the first save after a load, and a save
// that finds the steps larger than the rest of the file (and than 1 MiB) write the
// whole file anew.
//
// While the program runs, the file is one JSON object with steps behind it; after Close
// it is one plain object, as without the option. NewStore reads both, with or without
// the option. Versions of this package without WithJournal refuse a file with steps
// and do not touch it. docs/format.md describes the steps.
//
// Redis keeps its append-only file in this way, behind a snapshot.
func WithJournal() Option {
	return func(s *settings) error {
		s.journal = true
		return nil
	}
}

// WithoutFile makes a store in memory only, for tests and for programs that keep the data
// elsewhere, by [Store.WriteTo] and [Store.ReadFrom]. [Store.Backup] and [Store.Sync] return
// an error that is [ErrNoFile], [Store.StartAutoBackup] reports it, and [Store.Close]
// returns nil. With WithPath, WithJournal or WithReadOnly, NewStore fails with an error that
// is [io/fs.ErrInvalid].
func WithoutFile() Option {
	return func(s *settings) error {
		s.noFile = true
		return nil
	}
}

// WithLogger has the store log one line for each load and each save: a load at level Info, a save
// that succeeded at level Debug, and what failed at level Error. The attributes are the
// path, the number of entries, the bytes, and the duration, or the error. Get, Set and
// their like log nothing. A line is logged on the goroutine that loads or saves, before
// the callers of a Backup get their answer; so the logger must not call Backup, Sync,
// StopAutoBackup or Close of the store, and a slow logger delays them. Stores log nothing unless told.
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) error {
		if l == nil {
			return fmt.Errorf("WithLogger: nil logger: %w", os.ErrInvalid)
		}
		s.logger = l
		return nil
	}
}

// NewStore returns a store with the contents of the backup file. The store is empty
// if the file is missing or empty. NewStore leaves the file empty; its contents stay
// in the hand-over file, whose name ends in ".loaded", until the first backup has
// succeeded, and a NewStore after a crash finds them there. At every instant one of
// the two files holds the data, durably.
//
// From then on this process owns the file, by a kernel lock on the file beside it
// whose name ends in ".lock". The lock ends with a [Store.Close] of the last store on
// the path, with the process, however it ends, and when the garbage collector takes
// the last forgotten store, which must have no automatic backups. If another process owns the file, NewStore waits (see
// [WithLockTimeout]), and then fails with an error that is [ErrInUse]. A process that
// is restarted therefore loads exactly what its predecessor's Close has written.
// Where a system or a file system has no locks, ownership is known within the process
// only.
//
// Several stores of one process may have one path. They share the lock. The second
// finds the file empty while the first has loaded it and not backed up yet, and begins
// empty; later it loads the newest backup. Each backup then replaces the other store's.
//
// NewStore also makes sure that backups can be written. If NewStore returns an error,
// no contents have changed. A file that is not a backup gives a [*CorruptError].
// [errors.Is] finds [ErrCorrupt], [ErrNotRegular], [ErrInUse], and the error of the
// operating system for the file or its folder: [io/fs.ErrPermission],
// [syscall.ENOSPC]. NewStore takes time in proportion to the size of the file.
func NewStore(opts ...Option) (*Store, error) {
	s, err := chosen(opts)
	if err != nil {
		return nil, fmt.Errorf("genie: new store: %w", err)
	}
	return newStore(durable.OS{}, s)
}

func chosen(opts []Option) (settings, error) {
	s := settings{lockTimeout: defaultLockTimeout}
	for _, opt := range opts {
		if opt == nil {
			return s, fmt.Errorf("nil Option: %w", os.ErrInvalid)
		}
		if err := opt(&s); err != nil {
			return s, err
		}
	}
	if s.noFile && (s.path != "" || s.journal || s.readOnly) {
		return s, fmt.Errorf("WithoutFile, with an option that is about a file: %w", os.ErrInvalid)
	}
	if s.path != "" || s.noFile {
		return s, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return s, fmt.Errorf("%w; choose a path with WithPath", err)
	}
	s.path = filepath.Join(home, DefaultFile)
	return s, nil
}

// newStore is NewStore on any file system. Tests of faults call it.
func newStore(disk durable.FS, chosen settings) (*Store, error) {
	l := log{chosen.logger, chosen.path}
	switch {
	case chosen.noFile:
		return makeStore(loaded{entries: trie.New()}, newBackups(nil, ErrNoFile, l)), nil
	case chosen.readOnly:
		found, err := readOnly(disk, chosen.path, l)
		if err != nil {
			return nil, err
		}
		return makeStore(found, newBackups(nil, ErrReadOnly, l)), nil
	}
	file, err := durable.Open(disk, chosen.path, chosen.lockTimeout)
	if err != nil {
		err = fmt.Errorf("genie: open %s: %w", chosen.path, err)
		l.loaded(loaded{}, 0, err)
		return nil, err
	}
	l.path = file.Path()
	found, err := readBackup(file, l)
	if err != nil {
		file.Close()
		return nil, err
	}
	b := newBackups(file, nil, l)
	if chosen.journal {
		b.journal.tail = new(tail)
	}
	s := makeStore(found, b)
	// A forgotten store must not keep other processes from the file.
	runtime.AddCleanup(s, func(file *durable.File) { file.Close() }, file)
	return s, nil
}

// makeStore returns a store with the entries that were found.
func makeStore(found loaded, b backups) *Store {
	s := &Store{mailbox: make(chan command, mailboxCapacity), clock: clock{started: time.Now()}}
	s.owner = s.loop
	s.makePools()
	s.state = state{entries: found.entries, backups: b}
	s.state.tell = s.tell
	s.state.expiry.after = expireAfter(weak.Make(s))
	s.state.begin(found, s.clockFor(found.entries))
	return s
}

// clockFor returns the time, if entries have deadlines.
func (s *Store) clockFor(entries *trie.Map) instant {
	if entries.Timed() > 0 {
		s.clock.start()
	}
	return s.clock.now()
}

// expireAfter returns a function that has the store remove entries that are over, after a
// time. The timer has a weak pointer, so a forgotten store is garbage all the same.
func expireAfter(store weak.Pointer[Store]) func(time.Duration) *time.Timer {
	expire := func() {
		if s := store.Value(); s != nil {
			s.expire()
		}
	}
	return func(wait time.Duration) *time.Timer { return time.AfterFunc(wait, expire) }
}

// expire has the owner remove entries, a few with each message, so that the commands of
// callers come between.
func (s *Store) expire() {
	again := make(chan bool, 1)
	for turn := 1; turn <= turnsAtOnce; turn++ {
		s.tell(expireCmd{s.clock.read(), turn == turnsAtOnce, again})
		if !<-again {
			return
		}
	}
}

// Set gives key a value. Set returns once the write has its place in the order of
// all operations: every Get that begins later sees this write or a newer one. The
// next backup has the write on disk. Set does not wait for the owner unless 512
// commands are waiting already.
//
// Set removes the deadline that the key had. The store keeps the strings and does not copy
// them. A string whose memory a program uses again, such as the unsafe strings of fasthttp
// and fiber, must be copied before the call, with [strings.Clone].
func (s *Store) Set(key, value string) {
	c := s.sets.take()
	c.key, c.value = key, value
	s.tell(c)
}

// SetWithTTL is Set for an entry that ends: the entry is gone once its time to live, ttl,
// has passed. A Get, View, Snapshot, All, WriteTo or step of a Watch that begins after the
// deadline does not have the entry; a view has what was alive when it was taken. The
// deadline is saved with the entry, and goes on while no program has the file.
//
// The deadline is an instant of the wall clock. If the wall clock is set forward, entries
// end earlier, and if it is set back, entries that were not removed yet may come back and
// end later, as in Redis. If ttl is not positive, SetWithTTL is a Delete. A deadline after
// the year 2262 counts as the last instant that time.Time.UnixNano can give, in that year.
//
// The memory of an entry that has ended is freed soon afterwards, in turns of a few
// entries. For that the store has one timer and no goroutine.
func (s *Store) SetWithTTL(key, value string, ttl time.Duration) {
	if ttl <= 0 {
		s.Delete(key)
		return
	}
	s.clock.start()
	now := s.clock.now()
	s.tell(setWithTTLCmd{trie.Entry{Key: key, Value: value, Deadline: deadlineAfter(now, ttl)}, now})
}

// ExpiresAt returns the deadline of key, and reports whether key is in the map and has
// a deadline.
func (s *Store) ExpiresAt(key string) (at time.Time, ok bool) {
	c := deadlineCmd{key, s.clock.now(), make(chan int64, 1)}
	s.tell(c)
	return deadlineTime(<-c.reply)
}

// deadlineTime returns the time of a deadline, and whether there is one.
func deadlineTime(deadline int64) (at time.Time, ok bool) {
	if deadline == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, deadline), true
}

// Get returns the value of key, and reports whether key is in the map.
func (s *Store) Get(key string) (string, bool) {
	c := s.gets.take()
	c.key, c.now = key, s.clock.now()
	s.tell(c)
	<-c.reply
	value, ok := c.value, c.ok
	*c = getCmd{reply: c.reply} // the pool must not keep the strings alive
	s.gets.Put(c)
	return value, ok
}

// Delete removes key, if key is in the map. Like Set, Delete returns once the write
// has its place in the order of all operations.
func (s *Store) Delete(key string) { s.tell(deleteCmd{key}) }

// GetOrSet returns the value of key, with found true, if key is in the map. If not, GetOrSet
// gives key the value, without a deadline, and returns the value. GetOrSet is one step: of
// several callers for a missing key, the first sets its value, and the rest find that value.
func (s *Store) GetOrSet(key, value string) (actual string, found bool) {
	c := s.getOrSets.take()
	c.key, c.value, c.now = key, value, s.clock.now()
	s.tell(c)
	<-c.reply
	actual, found = c.value, c.found
	*c = getOrSetCmd{reply: c.reply}
	s.getOrSets.Put(c)
	return actual, found
}

// CompareAndSwap gives key the value new, without a deadline, if key is in the map with the
// value old, and reports whether it was. CompareAndSwap is one step.
func (s *Store) CompareAndSwap(key, old, new string) (swapped bool) {
	c := s.swaps.take()
	c.key, c.old, c.new, c.now = key, old, new, s.clock.now()
	s.tell(c)
	<-c.reply
	swapped = c.swapped
	*c = swapCmd{reply: c.reply}
	s.swaps.Put(c)
	return swapped
}

// Increment adds delta to the decimal integer that is the value of key, and returns the
// sum, as one step. A missing key counts as 0, and delta may be negative. The deadline of
// the entry stays, so a counter that SetWithTTL has made for a period ends with the period.
//
// If the value is no integer, Increment returns an error that is [ErrNotInteger]; if the
// value or the sum does not fit an int64, one that is [ErrOverflow]. Nothing changes then.
func (s *Store) Increment(key string, delta int64) (int64, error) {
	c := s.increments.take()
	c.key, c.delta, c.now = key, delta, s.clock.now()
	s.tell(c)
	<-c.reply
	sum, err := c.sum, c.err
	*c = incrementCmd{reply: c.reply}
	s.increments.Put(c)
	if err != nil {
		return 0, fmt.Errorf("genie: increment %q: %w", key, err)
	}
	return sum, nil
}

// Len returns the number of entries. It takes constant time, unless entries have ended and
// are not removed yet: then time in proportion to their number, on the caller's goroutine.
func (s *Store) Len() int {
	c := lenCmd{s.clock.now(), make(chan length, 1)}
	s.tell(c)
	return (<-c.reply).count()
}

// Snapshot returns a copy of the whole map as it was at one instant. The copy is
// made on the caller's goroutine and belongs to the caller; other goroutines go on
// meanwhile. [Store.All] and [Store.View] read the entries without a copy.
func (s *Store) Snapshot() map[string]string {
	v := s.view()
	m := make(map[string]string, v.Len())
	for key, value := range v.All {
		m[key] = value
	}
	return m
}

// All returns an iterator over the map as it is when the loop begins, in no
// particular order. The body of the loop may use the store and does not see its own
// writes. Nothing is copied. The view of the loop is garbage when the loop ends.
func (s *Store) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) { s.view().All(yield) }
}

// View calls fn with a view of the map as it is now, and returns fn's error.
//
// fn runs on the caller's goroutine and may take as long as it likes. A read of the
// View sends no message, runs in parallel with the reads of other views, and holds
// up no other goroutine. fn does not see later writes. fn may use the store, too.
// The View ends with fn: using it afterwards panics.
//
// While a View is in use, the first write to a part of the map copies that part,
// about 2 KB. In the worst case the View costs as much memory as the structure of the
// map, and keeps every string alive that the map has replaced or deleted meanwhile.
func (s *Store) View(fn func(v *View) error) error {
	v := &View{entries: s.view()}
	defer v.ended.Store(true)
	return fn(v)
}

// view asks for a view.
func (s *Store) view() trie.View {
	c := s.views.take()
	c.now = s.clock.now()
	s.tell(c)
	<-c.reply
	v := c.view
	*c = viewCmd{reply: c.reply} // the pool must not keep the entries alive
	s.views.Put(c)
	return v
}

// A View is the map as it was at one instant. See [Store.View]. Goroutines that
// its function starts may use the View too, while the function runs.
type View struct {
	entries trie.View
	ended   atomic.Bool
}

// use returns the entries while the View may be used.
func (v *View) use() trie.View {
	if v.ended.Load() {
		panic("genie: View used after its function has returned")
	}
	return v.entries
}

// Get returns the value that key had, and reports whether key was in the map.
func (v *View) Get(key string) (string, bool) { return v.use().Get(key) }

// ExpiresAt returns the deadline that key had, and reports whether key was in the map and
// had a deadline.
func (v *View) ExpiresAt(key string) (at time.Time, ok bool) {
	return deadlineTime(v.use().Deadline(key))
}

// Len returns the number of entries, as fast as [Store.Len].
func (v *View) Len() int { return v.use().Len() }

// All returns an iterator over the entries, in no particular order.
func (v *View) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for key, value := range v.use().All {
			if !yield(key, value) {
				return
			}
		}
	}
}

// A Change is the difference that a step of [Store.Watch] makes to one key: from the
// value that the watcher last saw to the value in the view of the step.
type Change struct {
	Key             string
	Old, New        string
	Existed, Exists bool // whether the key was in the map, and is now
}

// Stats are figures about a store at one instant. See [Store.Stats].
type Stats struct {
	Path string // of the backup file, or "" without one

	Entries  int // in the map
	Expiring int // with a deadline, and perhaps some that have ended and are not removed yet

	Source Source // where the entries of the start came from
	Loaded int    // how many they were

	// Writes counts the writes that stand since NewStore, and the removals of entries that
	// have ended. A ReadFrom is one write, and so is a Clear. Writes never decreases, and two
	// Stats with the same Writes stand for the same entries, but for those that have ended.
	Writes uint64

	Unsaved     uint64 // writes that the last save that succeeded does not have
	Saves       uint64 // that succeeded: backups and steps
	FailedSaves uint64
	LastSave    Save // the newest that succeeded
	LastError   error
	LastErrorAt time.Time

	// NextBackup is when the next automatic backup is due, or the zero Time if none is.
	NextBackup time.Time

	ObjectBytes int64 // of the file without its steps, as this store has written it
	StepBytes   int64 // of the steps behind it
}

// A Save is one backup, or one step of a store [WithJournal], that has succeeded.
type Save struct {
	At    time.Time // when it was durable, or the zero Time if none was yet
	Took  time.Duration
	Bytes int64 // written
	Step  bool
}

// A Source is where a store has its first entries from.
type Source string

// The sources. The hand-over file is the one that NewStore leaves between a load and
// the first backup.
const (
	SourceNone     Source = ""
	SourceBackup   Source = "backup"
	SourceHandOver Source = "hand-over"
)

// Watch returns an iterator over the changes of the map, in steps. Each step has a
// view of the map and the keys that differ from the view of the step before, each
// once, in no particular order. A key of which only the deadline differs is a Change with
// Old equal to New; [View.ExpiresAt] has the deadline. The end of an entry is a Change once
// the entry was removed, or before. The first step has all that is in the map as the loop
// begins. Each further step comes as soon as the map differs from the last view.
//
//	for view, changes := range store.Watch(ctx) {
//		for change := range changes {
//			…
//		}
//	}
//
// A step leads from one instant of the map to a later one and misses nothing
// between: all writes of an Update are in one step. While the body runs, the store
// goes on, so a slow watcher sees larger steps. A key that is written ten times between two
// steps is one Change, and a key that has its old value again is none. Nothing is queued
// and nothing is dropped; no writer waits for a watcher. After a Set has returned, a
// watcher that waits gets a step with that write or a newer one.
//
// The loop ends when ctx is done, and by break, return or a panic. Watch starts no
// goroutine, and a loop that has ended leaves nothing in the store. Close does not end
// the loop. The body runs on the caller's goroutine and may use the store. The view and
// the changes end with their step: using them afterwards panics.
//
// A watcher that waits gets the next write at once. Beside writers that never pause, a
// step comes every tenth of a second, so that the writers keep most of their rate.
//
// A step takes time in proportion to the parts of the map that were written since the
// last step, and not to the map. A watcher keeps a view, with the costs that
// [Store.View] names, until its next step.
func (s *Store) Watch(ctx context.Context) iter.Seq2[*View, iter.Seq[Change]] {
	return func(yield func(*View, iter.Seq[Change]) bool) {
		w := watcher{store: s, seen: nothingSeen}
		for w.next(ctx) && w.step(yield) {
		}
	}
}

// A watcher is one loop over a Watch.
type watcher struct {
	store     *Store
	seen      uint64    // the version of now, or nothingSeen
	last, now trie.View // of the step before and of this step
	due       time.Time // when the next view may be taken
}

// nothingSeen is no version of any map.
const nothingSeen = math.MaxUint64

// A view makes the next write to each leaf copy the leaf, so a watcher that took views
// without a pause would slow down writers that never pause to a quarter of their rate.
// After a step over n writes a watcher rests for n times restPerWrite, up to maxRest.
// Below 200 000 writes a second, rests stay short. Above, each is longer than the last
// until maxRest is reached, and most writes find their leaf copied already: writers keep
// at least half of their rate (bench/ratios, "Set beside a watcher").
const (
	restPerWrite = 5 * time.Microsecond
	maxRest      = 100 * time.Millisecond
)

func restAfter(writes uint64) time.Duration {
	return time.Duration(min(writes, uint64(maxRest/restPerWrite))) * restPerWrite
}

// rest waits until the next view is due or ctx is done.
func (w *watcher) rest(ctx context.Context) {
	if wait := time.Until(w.due); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// next waits until the map differs from the last view, and reports whether it did so
// before the end of ctx.
func (w *watcher) next(ctx context.Context) bool {
	w.last = w.now
	reply := make(chan sight, 1)
	for w.rest(ctx); ctx.Err() == nil; w.rest(ctx) {
		w.store.tell(watchCmd{w.seen, w.store.clock.now(), reply})
		found := <-reply
		if found.next != nil {
			select {
			case <-found.next:
			case <-ctx.Done():
			}
			continue
		}
		first := w.seen == nothingSeen
		if !first {
			w.due = time.Now().Add(restAfter(found.version - w.seen))
		}
		w.now, w.seen = found.view, found.version
		if first || w.differs() {
			return true
		}
	}
	return false
}

// differs reports whether the last step and this one differ. They are equal if every
// key that was written has its old value again.
func (w *watcher) differs() bool {
	for range trie.Diff(w.last, w.now) {
		return true
	}
	return false
}

// step passes on the view and the changes, which end with the step.
func (w *watcher) step(yield func(*View, iter.Seq[Change]) bool) bool {
	v := &View{entries: w.now}
	defer v.ended.Store(true)
	last := w.last
	return yield(v, func(yield func(Change) bool) {
		for change := range trie.Diff(last, v.use()) {
			if !yield(Change{change.Key, change.Old, change.New, change.Existed, change.Exists}) {
				return
			}
			v.use() // the loop may outlive its step
		}
	})
}

// Update calls fn as one atomic step: between the first read and the last write of
// fn no other goroutine reads or writes, and a backup has all writes of fn or none.
// If fn returns an error, panics or calls [runtime.Goexit], the map is as it was
// before. Update returns fn's error.
//
// fn runs on the caller's goroutine, and every other caller of the store waits for
// fn. So fn should be short and wait for nothing. fn must use tx and not the
// store. A call of the same store that waits for an answer, such as Get, Update or
// Backup, deadlocks, as a second Lock of a [sync.Mutex] does. Set, Delete and
// StartAutoBackup return at once and take effect after fn, even if fn fails. In
// programs built with the race detector, every such call panics. Three forms deadlock
// unnoticed everywhere: fn waits for another goroutine that calls the store; fn
// advances an [iter.Pull2] of [Store.All]; two Updates of two stores each call the
// other's store.
//
// tx ends with fn: using it afterwards panics.
func (s *Store) Update(fn func(tx *Tx) error) error {
	c := s.updates.take()
	c.now = s.clock.now()
	s.tell(c)
	return c.run(fn, &s.clock, &s.reentry)
}

// WriteTo writes the map as it is now to w, in the format of the backup file. WriteTo
// returns the number of bytes written and the error of w. It does not touch the
// backup file, other goroutines go on meanwhile, and its memory does not grow with
// the map. WriteTo implements [io.WriterTo].
func (s *Store) WriteTo(w io.Writer) (int64, error) {
	n, err := codec.Encode(w, givingWay(s.view().Entries))
	if err != nil {
		return n, fmt.Errorf("genie: write a backup: %w", err)
	}
	return n, nil
}

// ReadFrom replaces all entries by those of a backup that it reads from r, up to the end
// of r, and returns the number of bytes read. It replaces everything or nothing: other
// goroutines see the old entries until ReadFrom has read all of r, and the new ones from
// one instant on. A [Store.Watch] gets the keys that differ. ReadFrom implements
// [io.ReaderFrom].
//
// ReadFrom is as strict as [NewStore]: a text that is not a backup gives a
// [*CorruptError] with the place, and so does one that is cut off. It reads steps behind
// the object, too. The error of r is returned as it is, wrapped. Entries whose deadline has
// passed are left out. Like any write, the new entries are on disk after the next backup.
//
// While ReadFrom runs, the store has the memory of both maps.
func (s *Store) ReadFrom(r io.Reader) (int64, error) {
	entries := trie.NewLike(s.view())
	n, err := readStream(r, entries)
	if err != nil {
		return n, err
	}
	c := replaceCmd{entries, s.clockFor(entries), newSignal()}
	s.tell(c)
	<-c.reply
	return n, nil
}

// Backup writes the backup file and returns when the file is durable: the file holds
// every write that came before the call, and survives a power cut.
//
// The file is replaced as a whole. If Backup returns an error, the old backup file
// and the map are intact, and the next backup writes a new file. One exception: if
// syncing the folder failed, the new file may already be in place. The error names
// the file and wraps its cause: [errors.Is] finds [syscall.ENOSPC],
// [io/fs.ErrPermission] and their like, and [ErrReadOnly].
//
// After a [Store.Close], Backup takes the lock of the file again and keeps it until
// the next Close, or fails with an error that is [ErrInUse] if another process owns the
// file by then. So does an automatic backup that was started after the Close.
//
// A store that began empty and was never written to replaces nothing: if the file has
// contents, from another store of the process or from an editor, Backup returns nil
// and leaves them.
//
// Other goroutines go on meanwhile. One backup is written at a time; calls that
// arrive during a backup share the next.
func (s *Store) Backup() error {
	c := backupCmd{make(chan error, 1)}
	s.tell(c)
	return <-c.reply
}

// Sync returns when every write that came before the call is durable: it survives a
// crash of the program and a power cut. In a store [WithJournal], Sync appends the changes
// to the file, with one fsync; callers that arrive together share it. In a store without
// a journal, Sync is a [Store.Backup].
//
// If Sync returns an error, the writes before it may or may not survive, and the next
// Sync or backup writes the whole file. [errors.Is] finds [syscall.ENOSPC] and their
// like, [ErrReadOnly], and [ErrInUse] after a Close.
//
// The first Sync after a load writes the whole file, in time proportional to the map.
// Each further Sync takes the time of one write and one fsync of the changed entries, and of
// a look at the entries that have ended and are not removed yet. While
// a whole backup is being written, Syncs go on but share the disk with the backup: some
// take tens of milliseconds (bench/ratios, "Sync during a backup").
//
// If a second store of the process has the same path, a backup of that store replaces
// the file, and with it the entries that this Sync has made durable: see [NewStore].
func (s *Store) Sync() error {
	c := syncCmd{make(chan error, 1)}
	s.tell(c)
	return <-c.reply
}

// StartAutoBackup starts automatic backups, one every interval, until
// StopAutoBackup. The first backup begins one interval from now. A backup is left out
// if nothing was written since the last and the file is as the last backup left it,
// or while another backup is being written.
//
// As long as backups succeed, a crash loses at most the writes since the last backup
// began: those of one interval, and of the time that a backup takes. Errors go to
// [Store.AutoBackupErrors], and the next backup tries again.
//
// If automatic backups run already, nothing changes. A store that is read-only starts
// none: AutoBackupErrors delivers an error that is [ErrReadOnly]. An interval below a millisecond
// counts as a millisecond. An interval that is not positive starts nothing, and
// AutoBackupErrors delivers an error that is [ErrInterval].
func (s *Store) StartAutoBackup(interval time.Duration) { s.tell(startCmd{interval, time.Now()}) }

// StopAutoBackup stops automatic backups. If an automatic backup is being written,
// StopAutoBackup waits for its end. When StopAutoBackup returns, no automatic backup
// is running or to come, their goroutines have nothing left to do but return, and the
// channel of AutoBackupErrors is closed.
//
// StopAutoBackup does not write a last backup; [Store.Close] does. It may be called any
// number of times, whether or not backups were started, and backups may be started
// again. The store goes on working.
func (s *Store) StopAutoBackup() {
	c := stopCmd{newSignal()}
	s.tell(c)
	<-c.reply
}

// AutoBackupErrors returns the channel on which automatic backups report errors.
// StopAutoBackup closes the channel, so a range over it ends. From then on
// AutoBackupErrors returns the closed channel, until the next StartAutoBackup makes a
// new one. Before the first start and the first stop, AutoBackupErrors returns the
// channel of that first start.
//
// The channel holds 10 errors. While it is full, additional errors are dropped: the
// ten oldest stay, and backups never wait for a reader. An error is what
// [Store.Backup] would have returned, or tells why StartAutoBackup started nothing.
func (s *Store) AutoBackupErrors() <-chan error {
	c := errorsCmd{make(chan (<-chan error), 1)}
	s.tell(c)
	return <-c.reply
}

// Stats returns figures about the store and its saves, in one step. Stats costs as much as
// a Get or, while entries have ended and are not removed yet, as [Store.Len].
func (s *Store) Stats() Stats {
	c := statsCmd{s.clock.now(), make(chan statsReply, 1)}
	s.tell(c)
	reply := <-c.reply
	reply.stats.Entries = reply.length.count()
	return reply.stats
}

// Close stops automatic backups, writes a last backup, unless the file holds every
// write already, and lets go of the file, so that another process can own it. Close
// returns the error of the backup; the file is let go of in any case.
//
// A store without a Close leaves no goroutine either. Close may be called any number
// of times: a second Close without writes between does nothing. The store goes on
// working in memory, and a later Backup writes again. Close implements [io.Closer].
func (s *Store) Close() error {
	s.StopAutoBackup()
	c := closeCmd{make(chan error, 1)}
	s.tell(c)
	return <-c.reply
}

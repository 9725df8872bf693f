// Package genie keeps a map of strings in memory, safe for any number of
// goroutines, and backs it up to a file by itself.
//
// A program that only needs a map shared by goroutines is better served by a
// map under a [sync.RWMutex], which answers a read in a tenth of the time. A
// [Store] earns its cost where the contents must survive a restart, where a
// backup must not stop the program, or where many reads or writes must see one
// consistent state.
//
// # One owner
//
// One goroutine at a time, the owner, has the map. The methods send it commands
// through one channel, and the owner carries them out in their order, so every
// method is linearizable: it takes effect at one instant between its call and
// its return. A write "synchronizes before" every read that observes it, in the
// words of the Go memory model. The owner runs only while there are commands:
// an idle store has no goroutine, needs no Close, and is garbage when it is
// forgotten.
//
// # Durability
//
// Set and the other writes are in memory when they are visible; a crash loses
// those that came after the last backup. A backup is durable when [Store.Backup]
// returns nil: the new file has replaced the old one as a whole and survives a
// power cut.
//
// [NewStore] loads the backup file and leaves it empty. What it held is then in
// a second file, whose name ends in ".loaded", until the first backup succeeds.
// So a start sees:
//
//	the program before it                      what NewStore loads
//	closed the store, or backed up last        all of that backup
//	ended or crashed since a backup            the last backup that succeeded
//	ended or crashed before its first backup   what it had loaded itself
//	crashed or lost power during a backup      the old one or the new one, whole
//	still runs, and has loaded the file        nothing: the contents are its own
//
// A backup file that somebody else has written since is not lost: it is kept
// beside, under a name that ends in ".prev", unless it was written in the very
// instant in which a backup replaces it.
//
// # Views
//
// [Store.View], [Store.All], [Store.Snapshot], [Store.WriteTo] and the backups
// read the map as it was at one instant. Taking such a view costs the same
// whatever the size of the map, and others go on reading and writing meanwhile.
package genie

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/windevkay/forge/genie/internal/codec"
	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/reentry"
	"github.com/windevkay/forge/genie/internal/trie"
)

// DefaultFile is the name of the backup file in the user's home folder, for
// stores that are not given another by [WithPath].
const DefaultFile = ".kvstore_backup.json"

// Errors to test for with [errors.Is]. Others come from the operating system and
// are found the same way: [io/fs.ErrPermission], [syscall.ENOSPC].
var (
	// ErrCorrupt is in every [*CorruptError].
	ErrCorrupt = errors.New("corrupt backup")

	// ErrNotRegular says that there is a directory, a pipe, a socket or a
	// device where the backup file should be.
	ErrNotRegular = durable.ErrNotRegular

	// ErrInUse says that another program has the backup file locked, and had
	// for a second.
	ErrInUse = durable.ErrInUse

	// ErrInterval says that an interval is not positive.
	ErrInterval = errors.New("interval must be positive")
)

// A CorruptError says where a backup file is not what a backup writes: one JSON
// object, whose values are strings, in UTF-8, with no name twice.
type CorruptError struct {
	Path   string // the file
	Offset int64  // bytes before the place
	Err    error  // what is wrong there
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("genie: load %s: %v: at byte %d: %v", e.Path, ErrCorrupt, e.Offset, e.Err)
}

// Unwrap returns [ErrCorrupt] and e.Err.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

// A Store is a map of strings to strings that any number of goroutines may use
// at once, and a backup file. Make it with [NewStore]; the zero Store is not
// usable, and a Store must not be copied.
//
// Keys and values may hold any bytes. The methods are safe to call from any
// goroutine at any time, Close included: nothing ends a Store's use. A method
// that is called inside the function of an [Store.Update] of the same store
// panics.
type Store struct {
	// Immutable after NewStore; safe from any goroutine.
	mailbox chan command // from callers to the owner
	owner   func()       // loop, bound
	gets    pool[*getCmd]
	sets    pool[*setCmd]
	views   pool[*viewCmd]
	updates pool[*updateCmd]

	// Written by the caller inside an Update, under the race detector only.
	reentry reentry.Guard

	// Written by every sender, and so kept off the cache lines of the fields
	// that every sender reads.
	_       cacheLine
	pending atomic.Int64 // commands sent and counted, and not yet handled
	_       cacheLine

	// Owned by the owner.
	state state
}

// A cacheLine of padding keeps what one CPU writes away from what others read.
type cacheLine [64]byte

// An Option changes what [NewStore] makes.
type Option func(*settings)

type settings struct{ path string }

// WithPath makes path the backup file, instead of [DefaultFile] in the home
// folder. A relative path is taken from the working directory of now. The folder
// must exist. If path is a symbolic link, the file it leads to is the backup
// file, and the link stays.
func WithPath(path string) Option {
	return func(s *settings) { s.path = path }
}

// NewStore returns a store with what the backup file holds, or an empty one
// where there is no such file, or it is empty. The file is empty afterwards; what
// it held stays in the file beside it whose name ends in ".loaded" until the
// first backup has succeeded, and NewStore finds it there after a crash. At
// every instant one of the two holds the data, durably.
//
// While a process lives that has loaded the file and not backed up yet, the data
// is that process's own, and another NewStore, in it or elsewhere, begins empty.
// If another process is at work on the file just then, NewStore waits for it, for
// up to a second.
//
// After an error no file has lost anything. A file that is not a backup gives a
// [*CorruptError] and stays as it is; errors.Is finds [ErrCorrupt],
// [ErrNotRegular], and what the operating system says of the file or its folder.
// The time is proportional to the size of the file.
func NewStore(opts ...Option) (*Store, error) {
	path, err := backupPath(opts)
	if err != nil {
		return nil, fmt.Errorf("genie: choose the backup file: %w", err)
	}
	return newStore(durable.OS{}, path)
}

func backupPath(opts []Option) (string, error) {
	var s settings
	for _, opt := range opts {
		opt(&s)
		if s.path == "" {
			return "", &os.PathError{Op: "open", Path: s.path, Err: os.ErrInvalid}
		}
	}
	if s.path != "" {
		return s.path, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, DefaultFile), err
}

// newStore is NewStore on any file system: the seam for the tests of faults.
func newStore(disk durable.FS, path string) (*Store, error) {
	file, err := durable.Open(disk, path)
	if err != nil {
		return nil, fmt.Errorf("genie: open %s: %w", path, err)
	}
	entries, err := readBackup(file)
	if err != nil {
		return nil, err
	}
	s := &Store{mailbox: make(chan command, mailboxCapacity)}
	s.owner = s.loop
	s.makePools()
	s.state = state{entries: entries}
	s.state.backups = backups{file: file, schedule: newSchedule(), tell: s.tell}
	return s, nil
}

// Set gives key a value. It returns once the write has its place in the order
// of all operations: every later Get, by anybody, sees it or a newer one. It is
// on disk with the next backup. Set does not wait for the owner unless 512
// commands are waiting already.
func (s *Store) Set(key, value string) {
	c := s.sets.take()
	c.key, c.value = key, value
	s.tell(c)
}

// Get returns the value of key, and whether there is one.
func (s *Store) Get(key string) (string, bool) {
	c := s.gets.take()
	c.key = key
	s.tell(c)
	<-c.reply
	value, ok := c.value, c.ok
	c.key, c.value = "", ""
	s.gets.Put(c)
	return value, ok
}

// Delete removes key, if it is there. It returns when Set would.
func (s *Store) Delete(key string) { s.tell(deleteCmd{key}) }

// Len returns the number of keys, in constant time.
func (s *Store) Len() int {
	c := lenCmd{make(chan int, 1)}
	s.tell(c)
	return <-c.reply
}

// Snapshot returns a copy of the whole map as it was at one instant. The copy is
// the caller's own, and made on the caller's time: others go on meanwhile. To
// look at the entries without a copy, use [Store.All] or [Store.View].
func (s *Store) Snapshot() map[string]string {
	v := s.view()
	m := make(map[string]string, v.Len())
	for key, value := range v.All {
		m[key] = value
	}
	return m
}

// All returns an iterator over the map as it is when the loop begins, in no
// particular order. The body may do what it likes, such as Set, Get, or another
// loop over All, and does not see its own writes. Nothing is copied; the view is
// the loop's own, and garbage when it ends, however it ends.
func (s *Store) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) { s.view().All(yield) }
}

// View calls fn with a view of the map as it is now. It returns fn's error.
//
// fn runs on the caller's goroutine. It may read as much and take as long as it
// likes: reads cost no message, go on in parallel with those of other views,
// and hold up nobody. What others write meanwhile, fn does not see. It may use
// the store, too. The view ends with fn; using it afterwards panics.
//
// While a view is in use, the first write to a part of the map that it shares
// copies that part, about 2 KB, so memory can grow by as much as the map itself
// takes, without its strings.
func (s *Store) View(fn func(v *View) error) error {
	v := &View{entries: s.view()}
	defer v.ended.Store(true)
	return fn(v)
}

// view asks for a view.
func (s *Store) view() trie.View {
	c := s.views.take()
	s.tell(c)
	<-c.reply
	v := c.view
	c.view = trie.View{} // the pool must not keep the entries alive
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

// Len returns the number of entries, in constant time.
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

// Update calls fn as one atomic step: nobody reads or writes between the first
// of its reads and the last of its writes, and no backup has only some of them.
// If fn returns an error, panics or calls [runtime.Goexit], none of its writes
// has happened. Update returns fn's error.
//
// fn runs on the caller's goroutine, and everybody else waits for it: it should
// be short and wait for nothing. It must use tx. A call of the store itself from
// inside fn could never be answered, so it panics; one from a goroutine that fn
// starts waits until fn has returned, so fn must not wait for that. tx ends with
// fn, and using it afterwards panics.
func (s *Store) Update(fn func(tx *Tx) error) error {
	c := s.updates.take()
	s.tell(c)
	return c.run(fn, &s.reentry)
}

// WriteTo writes a backup to w: the map as it is now, in the format of the
// backup file. It returns the number of bytes written and w's error. It does not
// touch the backup file, and others go on meanwhile. Its memory does not grow
// with the map. It implements [io.WriterTo].
func (s *Store) WriteTo(w io.Writer) (int64, error) {
	n, err := codec.Encode(w, givingWay(s.view().All))
	if err != nil {
		return n, fmt.Errorf("genie: write a backup: %w", err)
	}
	return n, nil
}

// Backup writes the backup file and returns when the file is durable: it holds
// everything that was written before the call, and survives a power cut.
//
// The file is replaced as a whole. After an error the old one is there still,
// memory is as it was, and the next backup, manual or automatic, starts from the
// beginning; only if the error came from the last step, syncing the folder, may
// the new file be there already. The error names the file and wraps its cause:
// errors.Is finds [syscall.ENOSPC], [io/fs.ErrPermission] and their like, and
// [ErrInUse].
//
// Others go on meanwhile. One backup is written at a time; calls that arrive
// during one share the next.
func (s *Store) Backup() error {
	c := backupCmd{make(chan error, 1)}
	s.tell(c)
	return <-c.reply
}

// StartAutoBackup has the store backed up every interval, until StopAutoBackup.
// The first backup is one interval from now. A backup is left out when there is
// nothing new to write and the file is as the last one left it, or while another
// is being written.
//
// A crash loses at most what was written since the last backup began: one
// interval's worth, and as long as a backup takes. Errors go to
// [Store.AutoBackupErrors], and the next backup tries again.
//
// While backups run already, nothing changes. An interval that is not positive
// starts nothing; AutoBackupErrors delivers an error that is [ErrInterval].
func (s *Store) StartAutoBackup(interval time.Duration) { s.tell(startCmd{interval}) }

// StopAutoBackup ends what StartAutoBackup began. A backup that is being written
// is waited for. When StopAutoBackup returns, no automatic backup is running or
// to come, and the channel of AutoBackupErrors is closed.
//
// It does not write a last backup; [Store.Close] does. It may be called any
// number of times, whether or not backups were started, and they may be started
// again. The store goes on working.
func (s *Store) StopAutoBackup() {
	c := stopCmd{newSignal()}
	s.tell(c)
	<-c.reply
}

// AutoBackupErrors returns the channel that the errors of automatic backups are
// sent to: of those that are running or, if none are, of those that will be
// started next. It is closed by StopAutoBackup, so that a range over it ends.
// Take it before StopAutoBackup may be called: a goroutine that asks only
// afterwards gets the channel of a run that may never come.
//
// The channel holds 10 errors. When nobody reads them, further errors are
// dropped; backups never wait for a reader. The errors are what
// [Store.Backup] would have returned.
func (s *Store) AutoBackupErrors() <-chan error {
	c := errorsCmd{make(chan (<-chan error), 1)}
	s.tell(c)
	return <-c.reply
}

// Close stops automatic backups and writes a last backup, whose error it
// returns. It is for the end of a program, and a convenience: a store has
// nothing to release. It may be called any number of times, and the store goes on
// working. It implements [io.Closer].
func (s *Store) Close() error {
	s.StopAutoBackup()
	return s.Backup()
}

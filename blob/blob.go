// Package blob keeps copies of a [genie.Store] in a bucket: S3, Google Cloud Storage,
// Azure, a folder, and each other service that gocloud.dev/blob has a driver for.
//
//	bucket, err := fileblob.OpenBucket("/mnt/backups/genie", &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
//	…
//	copies, err := blob.New(bucket, "app")
//	…
//	schedule, err := copies.Start(store, time.Hour) // a copy each hour in which something changed
//	…
//	defer schedule.Stop(ctx) // a last copy
//
// On another machine, [Copies.Restore] replaces the entries of a store by those of the
// newest copy that is whole. Command geniebackup copies, lists, verifies and restores by hand.
//
// The program that opens a bucket imports its driver, and only that driver is linked.
//
// # A copy
//
// A copy is two objects under the prefix. The first is a backup, as [genie.Store.WriteTo]
// writes it. The second is its seal, an empty object whose name holds the length and the
// SHA-256 of the backup:
//
//	app/20261128T041409.123456789Z-8f3a2b1c9d0e4f56.json
//	app/20261128T041409.123456789Z-8f3a2b1c9d0e4f56.json.52.2c26…e6.sealed
//
// A copy is made in three steps: the backup is stored, is read back and compared, and then is
// sealed. Without a seal a backup is no copy, whatever ended the work: an error, a full
// bucket or a killed process. So each copy that is listed was whole once, and one listing
// tells all about the copies.
//
// The name begins with the time in UTC, to the nanosecond, so names sort by time. The name of a
// new copy sorts behind the names that are there, also where a clock went back. The random
// part keeps the copies of several writers apart: no object is ever replaced.
//
// # Copies that are kept
//
// The newest copies stay, and the last copy of each day for some time: see [WithKeep]. Copies
// are removed after a newer copy has been read back and sealed, and at no other time. The
// leftovers of a copy that was not finished are removed by a later copy. By then two clocks say that
// they are a day behind, that of the writer and that of the bucket. If no newer object is there,
// seven days must have passed. A copy that takes more than 12 hours is given up, so no copy is
// sealed whose backup another writer may have removed, unless a clock is wrong by half a day or
// more.
//
// # Memory
//
// The memory of a copy does not grow with the number of entries. On S3 it is three parts of an
// upload, 8 MiB each unless [WithPartSize] says otherwise, and some 30 MB more: 53 MB at most in
// TestTheMemoryOfACopyToS3, and 10 MB for a copy of 4 MB. Into a folder it is 0.2 MB
// (BenchmarkCopy). The check of a backup that is read back holds the longest key or value, too.
// The listing that each copy and each Restore begins with allocates 5 to 8 kB for each copy that is
// there (BenchmarkList, of a folder). A copy into a folder looks for itself at the end, which allocates 2 kB
// for each more. While a copy is made, the store goes on; the copy keeps a view, whose cost
// [genie.Store.View] names. A Restore has the memory of both maps, as [genie.Store.ReadFrom] says.
package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	cloud "gocloud.dev/blob"
)

// Errors to test for with [errors.Is]. If the bucket refuses access, because of a policy or of
// credentials that are wrong or have expired, the error is [io/fs.ErrPermission]. In one place the answer of S3
// does not tell: if a token expires just before the look at an object that is to be removed, or at a seal, the
// error is that of a wrong request.
var (
	// ErrNoCopy is given by a Restore where the listing succeeded and has no copy. It is
	// [io/fs.ErrNotExist], and no other error of this package is. So an error that is not
	// [io/fs.ErrNotExist] never means that there are no copies. A folder that cannot be read to its end,
	// that is missing, or that is a symbolic link gives another error. But a mount point whose disk is not
	// mounted looks like a folder without copies.
	ErrNoCopy = &noCopyError{}

	// ErrDamaged is in every [*DamageError]. If Restore returns it, there are copies, and
	// none is whole.
	ErrDamaged = errors.New("damaged copy")

	// ErrRemoved is given for a copy that was removed since it was listed, as a writer does when
	// it has a newer one.
	ErrRemoved = errors.New("copy was removed meanwhile")

	// ErrPrune is given beside a copy that was made: only the removal of older objects failed.
	ErrPrune = errors.New("remove old copies")

	// ErrStalled is given if a transfer has made no progress for five minutes. Of an upload, a driver
	// shows only that a whole part was sent. So the limit of an upload is the time that three parts
	// take at 64 KiB a second, if that is longer: 6 min 24 s unless [WithPartSize] says otherwise. On a
	// line that is slower than that, an upload may end with ErrStalled although it works.
	ErrStalled = errors.New("no progress")
)

// noCopyError is a type so that ErrNoCopy is io/fs.ErrNotExist without a text of its own.
type noCopyError struct{}

func (*noCopyError) Error() string        { return "no copy" }
func (*noCopyError) Is(target error) bool { return target == fs.ErrNotExist }

// A DamageError reports a copy that is not whole.
type DamageError struct {
	Copy Copy
	Err  error // the fault
}

// Error names the copy and the fault.
func (e *DamageError) Error() string {
	return fmt.Sprintf("genie/blob: %v: %s: %v", ErrDamaged, e.Copy.Name, e.Err)
}

// Unwrap returns [ErrDamaged] and e.Err.
func (e *DamageError) Unwrap() []error { return []error{ErrDamaged, e.Err} }

// A Copy is a backup in the bucket. Its Time is when it was begun, by the clock of its writer, or
// just after the Time of an older copy if that was ahead of the clock.
type Copy struct {
	Name   string // the key of the backup object, with the prefix
	Time   time.Time
	Bytes  int64
	SHA256 [32]byte
}

// Copies are the copies under one prefix of a bucket. Any number of goroutines and of
// processes may use one prefix.
type Copies struct {
	// Immutable after New.
	bucket   *cloud.Bucket
	prefix   string // "" or ends in a slash
	folder   bool   // the driver is that of a folder
	keep     keepRule
	partSize int
	progress func(Progress)          // never nil
	syncDir  func(path string) error // syncDir, unless a test sets it
	readDir  func(path string) error // readDir, unless a test sets it
}

// An Option changes what [New] makes. If an Option has an invalid argument, New returns that
// Option's error.
type Option func(*Copies) error

const (
	defaultLast = 24
	defaultDays = 30
	// defaultPartSize is small enough for a program of some hundred megabytes, and large enough
	// for any store that fits in memory.
	defaultPartSize = 8 << 20
	// minPartSize is the least that S3 allows.
	minPartSize = 5 << 20
)

// WithKeep sets the copies that stay: the newest copies, as many as last says, and the newest
// copy of each of the newest days that have one, as many as days says. Days are those of UTC.
// Unless told, it is WithKeep(24, 30). So a prefix never has more than last+days copies, and a
// few that are being made or removed.
//
// A day without a copy does not count, so copies of a store that rarely changes stay for
// longer than that number of days. The day of a copy is that of its name, or that on which the
// bucket has stored its seal, if that is earlier. In this way a clock that was ahead for a moment
// takes the place of one day.
func WithKeep(last, days int) Option {
	return func(c *Copies) error {
		if last < 1 || days < 0 {
			return fmt.Errorf("WithKeep(%d, %d): at least one copy must stay: %w", last, days, fs.ErrInvalid)
		}
		c.keep = keepRule{last: last, days: days}
		return nil
	}
}

// WithKeepAll removes nothing, ever: for credentials that may not delete. A program that is taken
// over can still write other contents in the place of its copies, as the right to write allows
// that. Only a bucket that keeps old versions of objects, or locks them, saves the copies then.
// A lifecycle rule of the bucket can remove old objects; it must not remove the newest copy of a
// store that does not change.
func WithKeepAll() Option {
	return func(c *Copies) error {
		c.keep = keepRule{all: true}
		return nil
	}
}

// WithPartSize sets the bytes of one part of an upload, in place of 8 MiB. Smaller parts take less
// memory, see the package documentation. Larger parts make larger copies possible: S3 takes 10 000
// parts, which are 78 GiB unless told, and it takes longer to notice a line that is dead, see
// [ErrStalled]. The minimum is 5 MiB. Drivers without parts, such as that
// of a folder, ignore it.
func WithPartSize(bytes int) Option {
	return func(c *Copies) error {
		if bytes < minPartSize {
			return fmt.Errorf("WithPartSize(%d): less than %d: %w", bytes, minPartSize, fs.ErrInvalid)
		}
		c.partSize = bytes
		return nil
	}
}

// WithProgress has fn called as bytes move, for each 64 KiB or so, on the goroutine that
// sends or receives them; so fn must be quick.
func WithProgress(fn func(Progress)) Option {
	return func(c *Copies) error {
		if fn == nil {
			return fmt.Errorf("WithProgress: nil function: %w", fs.ErrInvalid)
		}
		c.progress = fn
		return nil
	}
}

// A Progress says how far a transfer is.
type Progress struct {
	Action Action
	Name   string // of the copy
	Bytes  int64  // that have been moved
	Total  int64  // to move, or 0 if that is not known yet, as while a backup is stored
}

// An Action is a kind of transfer.
type Action string

// The actions.
const (
	Storing     Action = "storing"
	ReadingBack Action = "reading back"
	Restoring   Action = "restoring"
)

// New returns the copies under prefix, which is a path of names with slashes between them, or
// "" for the top of the bucket. New makes no request. The bucket belongs to the
// caller, who closes it after the last use of the Copies.
//
// A bucket of package fileblob should have the options NoTempDir, without which a copy into
// another file system fails, and MetadataDontWrite, without which each object has a second
// file beside it. Its driver lists nothing behind a symbolic link that is the folder of the bucket or that
// of the prefix, and changes the names of some prefixes, such as "app..". Each use of the Copies returns
// an error then. To open a bucket by a link, resolve it by [path/filepath.EvalSymlinks].
func New(bucket *cloud.Bucket, prefix string, opts ...Option) (*Copies, error) {
	c := &Copies{
		bucket:   bucket,
		keep:     keepRule{last: defaultLast, days: defaultDays},
		partSize: defaultPartSize,
		progress: func(Progress) {},
		syncDir:  syncDir,
		readDir:  readDir,
	}
	if err := c.set(prefix, opts); err != nil {
		return nil, fmt.Errorf("genie/blob: new copies: %w", err)
	}
	return c, nil
}

func (c *Copies) set(prefix string, opts []Option) error {
	if c.bucket == nil {
		return fmt.Errorf("nil bucket: %w", fs.ErrInvalid)
	}
	if prefix != "" {
		if prefix == "." || !fs.ValidPath(prefix) {
			return fmt.Errorf("prefix %q is not a path such as app/host: %w", prefix, fs.ErrInvalid)
		}
		c.prefix = prefix + "/"
	}
	c.folder = isFolder(c.bucket)
	for _, opt := range opts {
		if opt == nil {
			return fmt.Errorf("nil Option: %w", fs.ErrInvalid)
		}
		if err := opt(c); err != nil {
			return err
		}
	}
	return nil
}

// String returns the prefix, for messages.
func (c *Copies) String() string { return "prefix " + `"` + c.prefix + `"` }

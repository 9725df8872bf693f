// Package etcd keeps one map of strings on several machines: the keys of a cluster of etcd under a
// prefix. Each process has a replica of them in memory, which is a genie.Store.
//
//	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialKeepAliveTime: 10 * time.Second, …})
//	…
//	store, err := etcd.Open(ctx, client, "app/", etcd.WithFile("replica.json"))
//	…
//	err = store.Set(ctx, "greeting", "hello") // a quorum has it on disk, and Get here sees it
//	value, ok := store.Get("greeting")        // from memory
//	err = store.Sync(ctx)                     // now Get sees what any process has written before
//
// A program of one process does better with a genie.Store, which needs no cluster. A program that
// needs few of the keys does better with the client of etcd.
//
// # Reads
//
// Get, View, All, Snapshot, Len, Watch, WriteTo and Stats are those of the replica and never wait
// for the cluster. The replica goes from one revision of the cluster to a later one, with
// whole transactions only, and may be behind the cluster. After a [Store.Sync], reads are
// linearizable. If the cluster is another one than before, or was restored from a backup, the
// replica takes over what that cluster has, in one step.
//
// # Writes
//
// Set, SetWithTTL, Delete and Update return nil when a quorum of the cluster has the write on
// disk and this replica shows it. An error tells whether the write was applied: see [Store.Set].
// While the replica does not follow the cluster, writes wait, and then fail with
// [ErrUnavailable] and were not applied.
//
// # Without the cluster
//
// While the cluster cannot be reached, reads go on. A replica with a file ([WithFile]) also starts
// without the cluster. [Store.Stats] and [Store.Errors] tell that it does not follow, and since
// when. When the cluster comes back, the replica catches up by itself.
//
// # Settings
//
// README.md has the settings that servers and client need: etcd keeps all history, until its
// database is full, unless auto-compaction is turned on; and without keep-alives the client
// goes on using a server that hangs.
//
// An open Store has a handful of goroutines. [Store.Close] ends them.
package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie"
)

// A Store is one keyspace, the keys of a cluster of etcd under a prefix, with a replica in this
// process. Any number of goroutines may use a Store at once. Only [Open] makes a Store.
type Store struct {
	// Immutable after Open; safe from any goroutine.
	client    *clientv3.Client
	prefix    string
	prefixEnd string // the first key after those of the prefix
	name      string // of this Store among all, for its tokens
	chosen    settings
	log       *slog.Logger
	replica   *genie.Store // written by the goroutine of follower.run only
	position  *position

	// kv and leases use the connection of the client. The client's own KV and Lease may be
	// wrapped, to add a prefix for example. The watcher of a session is made of the connection,
	// so with a wrapped KV, reads and events would be of different keys.
	kv     clientv3.KV
	leases clientv3.Lease

	// sets and deletions send the writes. They are two because a cluster whose database is full
	// takes deletions, and refuses a group with any other write.
	sets, deletions *committer

	errors chan error // capacity 10: as many as an AutoBackupErrors of genie holds

	// life ends with Close, and is the reason for the end of all requests then.
	life  context.Context
	close func() error // does the work of Close once

	updates atomic.Uint64 // calls of Update, to number the tokens

	mu          sync.Mutex
	lastError   error
	lastErrorAt time.Time
}

// An Option changes what [Open] makes. If an Option has an invalid argument, Open returns that
// Option's error.
type Option func(*settings) error

type settings struct {
	path    string // "" for no file
	timeout time.Duration
	backlog int
	logger  *slog.Logger // nil for none
}

// WithFile keeps the replica in a local file, too, so that [Open] has the entries of the last
// run without the cluster, and asks the cluster only for what has changed since. The file is a
// backup file of genie, with all that [genie.NewStore] says of it: one process owns it. It
// is saved every ten seconds by what has changed, and by Close. Nothing is lost with the file.
//
// No other program may write to the file. The replica believes what the file says: an entry that a
// program of genie has changed there stays as it is until the cluster writes its key again, or the
// replica reads everything.
//
// Open fails with [ErrNotReplica], and keeps the file, if it has other contents than a replica
// of the same prefix, and with [genie.ErrInUse] and the like.
func WithFile(path string) Option {
	return func(s *settings) error {
		if path == "" {
			return fmt.Errorf("WithFile: empty path: %w", fs.ErrInvalid)
		}
		s.path = path
		return nil
	}
}

// WithTimeout sets how long one request to the cluster may take, in place of five seconds: a
// page of a read, a write with the time until the cluster can be reached, and, apart from that,
// the time until an acknowledged write is visible here. A ctx that ends sooner ends a request
// sooner. A cluster of etcd takes one to three seconds to elect a leader, so shorter timeouts
// make errors of what would pass. The longest is a year; d is cut to it.
func WithTimeout(d time.Duration) Option {
	return func(s *settings) error {
		if d <= 0 {
			return fmt.Errorf("WithTimeout: time %v is not positive: %w", d, fs.ErrInvalid)
		}
		s.timeout = min(d, longestTimeout)
		return nil
	}
}

// WithBacklog sets how many bytes of events may wait in memory until the replica applies them,
// in place of 64 MiB. If more come, the replica lets go of what waits and has the cluster
// send it again, from where the replica stands.
//
// The bound on memory is the larger of bytes and one response of the server, twice: for what waits
// and for what is being applied. One response is never refused, however large, or a large
// transaction would never come through. A server of etcd puts up to 1 000 transactions into one
// response for a replica that was away, so with entries of 64 KiB a response can have 62 MiB.
func WithBacklog(bytes int) Option {
	return func(s *settings) error {
		if bytes <= 0 {
			return fmt.Errorf("WithBacklog: %d bytes are not positive: %w", bytes, fs.ErrInvalid)
		}
		s.backlog = bytes
		return nil
	}
}

// WithLogger has the store log a line when the replica begins to follow the cluster or has read
// everything, at level Info, and for each error that [Store.Errors] reports, at level Error. The
// local file logs as [genie.WithLogger] says. A Store logs nothing unless told.
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) error {
		if l == nil {
			return fmt.Errorf("WithLogger: nil logger: %w", fs.ErrInvalid)
		}
		s.logger = l
		return nil
	}
}

const (
	defaultTimeout = 5 * time.Second
	longestTimeout = 365 * 24 * time.Hour // so that multiples of it fit into a Duration
	defaultBacklog = 64 << 20
	saveEvery      = 10 * time.Second
)

func chosen(opts []Option) (settings, error) {
	s := settings{timeout: defaultTimeout, backlog: defaultBacklog}
	for _, opt := range opts {
		if opt == nil {
			return s, fmt.Errorf("nil Option: %w", fs.ErrInvalid)
		}
		if err := opt(&s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Open returns a Store of the keys of the cluster that begin with prefix, which must not be
// empty. The Store's keys are without the prefix.
//
// The key that is the prefix itself is the Store's own. So no prefix of a Store may begin with the
// prefix of another Store: the key "b" of the prefix "a" would be the own key of the prefix "ab",
// and every Update there would overwrite it. Prefixes with one slash, at their end, are safe: none
// of them begins another.
//
// c must come from [clientv3.New]; the Store does not close it. The Store uses the connection of c
// only: wrappers in c.KV, c.Lease and c.Watcher, such as those of clientv3/namespace, are not used.
// Give the whole prefix instead.
//
// Open returns nil once the replica has all that was acknowledged before the call. Else it depends:
//
//   - With a local file ([WithFile]) that has a replica, Open returns nil after the time of
//     [WithTimeout], or at the deadline of ctx. The cluster may be away, or have more to send than
//     comes in that time. The Store then has the entries of the file, at the revision of the file.
//     Reads work, writes fail with [ErrUnavailable], [Store.Stats] tells how old the replica is
//     (Contact), and the replica catches up by itself.
//   - Without such a file Open tries until ctx ends, or, if ctx has no deadline, until a try fails
//     after the time of WithTimeout. It returns an error that is ErrUnavailable.
//   - If ctx is cancelled, or if the cluster refuses to be read in a way that time does not mend, as
//     with rpctypes.ErrPermissionDenied, Open returns an error in any case.
//
// The replica resumes where the file ends if the cluster still has that history, and else reads
// everything: after a compaction, and if the cluster is another, or was restored from a backup.
// Entries that the cluster does not have are gone then, with no trace but a [Store.Watch] step.
func Open(ctx context.Context, c *clientv3.Client, prefix string, opts ...Option) (*Store, error) {
	s, err := open(ctx, c, prefix, opts)
	if err != nil {
		return nil, fmt.Errorf("genie/etcd: open %q: %w", prefix, err)
	}
	return s, nil
}

func open(ctx context.Context, c *clientv3.Client, prefix string, opts []Option) (*Store, error) {
	chosen, err := chosen(opts)
	switch {
	case err != nil:
		return nil, err
	case prefix == "":
		return nil, fmt.Errorf("empty prefix: %w", fs.ErrInvalid)
	case c == nil || c.ActiveConnection() == nil:
		return nil, fmt.Errorf("a client without a connection: %w", fs.ErrInvalid)
	}
	replica, m, err := openReplica(prefix, chosen)
	if err != nil {
		return nil, err
	}
	s := newStore(c, prefix, chosen, replica)
	outcomes := s.start(m)
	if err := s.awaitCluster(ctx, m.Revision != 0, outcomes); err != nil {
		return nil, joined(err, s.Close())
	}
	return s, nil
}

// openReplica returns the replica of the file, if there is one, and its mark.
func openReplica(prefix string, chosen settings) (*genie.Store, mark, error) {
	replica, err := genie.NewStore(chosen.replicaOptions()...)
	if err != nil {
		return nil, mark{}, err
	}
	if replica.Len() == 0 {
		return replica, mark{}, nil
	}
	text, _ := replica.Get(markKey)
	m, err := parseMark(text)
	if err == nil && m.Prefix == prefix {
		return replica, m, nil
	}
	return nil, m, joined(fmt.Errorf("%w: %s", ErrNotReplica, chosen.path), replica.Close())
}

func (s settings) replicaOptions() []genie.Option {
	if s.path == "" {
		return []genie.Option{genie.WithoutFile()}
	}
	opts := []genie.Option{genie.WithPath(s.path), genie.WithJournal()}
	if s.logger != nil {
		opts = append(opts, genie.WithLogger(s.logger))
	}
	return opts
}

func newStore(c *clientv3.Client, prefix string, chosen settings, replica *genie.Store) *Store {
	s := &Store{
		client:    c,
		prefix:    prefix,
		prefixEnd: clientv3.GetPrefixRangeEnd(prefix),
		name:      rand.Text(),
		chosen:    chosen,
		log:       chosen.logger,
		replica:   replica,
		position:  newPosition(),
		errors:    make(chan error, 10),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// start starts the goroutines of the Store: the follower and, with a file, one that passes on
// the errors of its backups. Both have ended when close returns.
func (s *Store) start(m mark) (outcomes <-chan error) {
	life, end := context.WithCancelCause(context.Background())
	s.life = life
	s.kv, s.leases = newKV(s.client), clientv3.NewLease(s.client)
	s.sets, s.deletions = s.newCommitter(), s.newCommitter()
	s.position.restore(m)
	f := &follower{Store: s, mark: m, patience: s.chosen.timeout, outcomes: make(chan error, 1)}
	var following, reporting sync.WaitGroup
	following.Go(func() { f.run(life) })
	if s.chosen.path != "" {
		s.replica.StartAutoBackup(saveEvery)
		backups := s.replica.AutoBackupErrors()
		reporting.Go(func() {
			for err := range backups {
				s.report(err)
			}
		})
	}
	s.close = sync.OnceValue(func() error {
		end(ErrClosed)
		s.position.close()
		s.sets.close()
		s.deletions.close()
		following.Wait()         // it writes its last entry
		err := s.replica.Close() // closes the channel of the backups' errors
		reporting.Wait()
		s.leases.Close() // without keep-alives this only releases a context
		close(s.errors)
		return err
	})
	return f.outcomes
}

// awaitCluster waits until the replica follows the cluster. usable says that the replica can
// be used without.
func (s *Store) awaitCluster(ctx context.Context, usable bool, outcomes <-chan error) error {
	patience := time.NewTimer(s.chosen.timeout)
	defer patience.Stop()
	_, limited := ctx.Deadline()
	over := false
	var last error
	for {
		select {
		case <-s.position.followed():
			return nil
		case last = <-outcomes:
			if isFinal(last) || !usable && over && !limited {
				return last
			}
		case <-patience.C:
			if usable {
				return nil
			}
			if last != nil && !limited {
				return last
			}
			over = true
		case <-ctx.Done():
			if usable && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil
			}
			return joined(ErrUnavailable, reasonOf(ctx), last)
		}
	}
}

// isFinal reports whether a session has failed in a way that the next will not mend.
func isFinal(err error) bool {
	r := rule(err)
	vanished := errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, rpctypes.ErrFutureRev)
	return r.refused && !r.again && !vanished // the next session reads another revision
}

// Get returns the value of key in the replica, and reports whether key is there. Get never waits
// for the cluster. It sees every write of this Store that has returned nil. All readers see one
// history: revisions in their order, and whole transactions. The replica may be behind the cluster:
// [Store.Sync] first makes it linearizable.
func (s *Store) Get(key string) (string, bool) {
	if key == markKey {
		return "", false
	}
	return s.replica.Get(key)
}

// Len returns the number of entries, in constant time.
func (s *Store) Len() int { return s.replica.Len() - 1 }

// Snapshot returns a copy of the replica at one revision.
func (s *Store) Snapshot() map[string]string {
	m := s.replica.Snapshot()
	delete(m, markKey)
	return m
}

// All returns an iterator over the replica at the revision at which the loop begins, in no
// particular order, as [genie.Store.All] does.
func (s *Store) All() iter.Seq2[string, string] { return withoutMark(s.replica.All()) }

// View calls fn with a View of the replica at one revision, and returns fn's error. The View
// ends with fn. Its costs are those of [genie.Store.View].
func (s *Store) View(fn func(v *View) error) error {
	return s.replica.View(func(v *genie.View) error { return fn(&View{v}) })
}

// WriteTo writes the replica, at one revision, as a backup of genie. The backup has one entry
// more than [Store.Len] says: under the empty key, where the replica stands. With that entry the
// backup can be the file of a Store of the same prefix ([WithFile]), on any machine. A
// genie.Store reads the backup, too.
func (s *Store) WriteTo(w io.Writer) (int64, error) { return s.replica.WriteTo(w) }

// Revision returns a revision of the cluster: the replica stands there or at a newer one. A Get
// that begins later sees that revision or a newer one.
func (s *Store) Revision() int64 {
	at, _ := s.position.place()
	return at.revision
}

// Errors returns the channel on which the Store reports why it does not follow the cluster, and
// errors of the backups of its file. The channel holds 10 errors. While it is full,
// additional errors are dropped: the ten oldest stay, and [Stats] has the newest. Close
// closes the channel.
func (s *Store) Errors() <-chan error { return s.errors }

// report passes on an error of a goroutine of the Store.
func (s *Store) report(err error) {
	s.mu.Lock()
	s.lastError, s.lastErrorAt = err, time.Now()
	s.mu.Unlock()
	s.log.Error("genie/etcd: "+err.Error(), "prefix", s.prefix)
	select {
	case s.errors <- fmt.Errorf("genie/etcd: %w", err):
	default:
	}
}

// Close ends the replica's watch and all calls that wait for the cluster, and saves the local
// file. When Close returns, the Store has no goroutine. The entries can still be read; calls of
// the cluster fail with [ErrClosed]. Close leaves the client open. It returns the error of
// the file. Later calls return the same. Close implements [io.Closer].
func (s *Store) Close() error {
	if err := s.close(); err != nil {
		return fmt.Errorf("genie/etcd: close: %w", err)
	}
	return nil
}

// Stats are figures about a Store at one instant. See [Store.Stats].
type Stats struct {
	// Following reports whether the replica follows the cluster. If it does, the replica
	// is as new as the network and the cluster let it be. If not, writes fail, and Contact
	// tells since when.
	Following bool

	// Contact is when the cluster has last answered. Before the first answer it is that of
	// the last run, which the file keeps: Close writes it, and each change of the replica
	// does, so after a crash it may be older than the truth, and never newer. It is the zero
	// Time if there is none.
	Contact time.Time

	Cluster  uint64 // the ID of the cluster
	Revision int64  // at which the replica stands
	Head     int64  // the newest revision of the cluster that this process, or its file, knows of

	Reads    uint64 // of everything: without a file, and where the history had a gap
	Restarts uint64 // of the watch because the replica had not kept up: see WithBacklog

	LastError   error // the newest of those that Errors reports
	LastErrorAt time.Time

	Replica genie.Stats // of the replica and its file
}

// Stats returns figures about the Store. It asks the replica and not the cluster.
func (s *Store) Stats() Stats {
	stats := s.position.stats()
	s.mu.Lock()
	stats.LastError, stats.LastErrorAt = s.lastError, s.lastErrorAt
	s.mu.Unlock()
	stats.Replica = s.replica.Stats()
	stats.Replica.Entries-- // the mark
	stats.Replica.Loaded = max(stats.Replica.Loaded-1, 0)
	return stats
}

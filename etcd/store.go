// Package etcd keeps one map of strings over several machines.
package etcd

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie"
)

// A Store is a replica of the keys of a prefix, that any number of goroutines may use at once.
// Only [Open] makes a Store.
type Store struct {
	client  *clientv3.Client
	prefix  string
	chosen  settings
	replica *genie.Store
}

// An Option changes what [Open] makes.
type Option func(*settings) error

type settings struct {
	path    string
	timeout time.Duration
	backlog int
	logger  *slog.Logger
}

// WithFile keeps the replica in a local file.
func WithFile(path string) Option {
	return func(s *settings) error {
		if path == "" {
			return fmt.Errorf("WithFile: empty path: %w", fs.ErrInvalid)
		}
		s.path = path
		return nil
	}
}

// WithTimeout sets how long one request to the cluster may take.
func WithTimeout(d time.Duration) Option {
	return func(s *settings) error {
		if d <= 0 {
			return fmt.Errorf("WithTimeout: %v: %w", d, fs.ErrInvalid)
		}
		s.timeout = d
		return nil
	}
}

// WithBacklog sets how many bytes of events may wait for the replica.
func WithBacklog(bytes int) Option {
	return func(s *settings) error {
		if bytes <= 0 {
			return fmt.Errorf("WithBacklog: %d: %w", bytes, fs.ErrInvalid)
		}
		s.backlog = bytes
		return nil
	}
}

// WithLogger has the store log what it does.
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) error {
		if l == nil {
			return fmt.Errorf("WithLogger: nil logger: %w", fs.ErrInvalid)
		}
		s.logger = l
		return nil
	}
}

// Stats are figures about a Store at one instant.
type Stats struct {
	Replica genie.Stats // of the replica and its local file

	Revision  int64     // that the replica stands at
	Head      int64     // the newest revision of the cluster that this process knows
	Contact   time.Time // when the cluster has last answered, or the zero Time
	Following bool      // the replica follows the cluster

	ClusterID uint64
	Reads     uint64 // of everything: the first, and those after a gap in the history
	Restarts  uint64 // of the watch because the replica had not kept up

	LastError   error
	LastErrorAt time.Time
}

// Get returns the value of key.
func (s *Store) Get(key string) (string, bool) {
	if key == markKey {
		return "", false
	}
	return s.replica.Get(key)
}

// Len returns the number of entries.
func (s *Store) Len() int { return s.replica.Len() - marks(s.replica.Get) }

// Snapshot returns a copy.
func (s *Store) Snapshot() map[string]string {
	m := s.replica.Snapshot()
	delete(m, markKey)
	return m
}

// All returns an iterator.
func (s *Store) All() iter.Seq2[string, string] { return withoutMark(s.replica.All()) }

// View calls fn with a view.
func (s *Store) View(fn func(v *View) error) error {
	return s.replica.View(func(v *genie.View) error { return fn(&View{v}) })
}

// WriteTo writes a backup.
func (s *Store) WriteTo(w io.Writer) (int64, error) { return s.replica.WriteTo(w) }

func Open(ctx context.Context, c *clientv3.Client, prefix string, opts ...Option) (*Store, error) {
	return nil, ErrUnavailable
}

func (s *Store) Set(ctx context.Context, key, value string) error { return ErrUnavailable }
func (s *Store) SetWithTTL(ctx context.Context, key, value string, ttl time.Duration) error {
	return ErrUnavailable
}
func (s *Store) Delete(ctx context.Context, key string) error            { return ErrUnavailable }
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error { return ErrUnavailable }
func (s *Store) Sync(ctx context.Context) error                          { return ErrUnavailable }
func (s *Store) Revision() int64                                         { return 0 }
func (s *Store) Stats() Stats                                            { return Stats{} }
func (s *Store) Errors() <-chan error                                    { return nil }
func (s *Store) Close() error                                            { return nil }

// A Tx reads and writes on behalf of the function of an Update.
type Tx struct{}

func (tx *Tx) Get(key string) (string, bool) { return "", false }
func (tx *Tx) Set(key, value string)         {}
func (tx *Tx) Delete(key string)             {}

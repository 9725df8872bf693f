package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// store returns a store in memory with one entry.
func store(t testing.TB, value string) *genie.Store {
	t.Helper()
	s, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	s.Set("value", value)
	return s
}

// valueOf returns the entry of a store.
func valueOf(s *genie.Store) string {
	value, _ := s.Get("value")
	return value
}

// A sweep has one operation after the other fail, until a run meets none that fails. It returns
// how many there were.
func sweep(t *testing.T, failure error, run func(t *testing.T, fault func(context.Context, op) error) (failed bool)) int {
	for n := 0; ; n++ {
		count, fired := 0, false
		fault := func(_ context.Context, o op) error {
			count++
			if fired = fired || count == n+1; count != n+1 {
				return nil
			}
			return fmt.Errorf("%v %s at %d: %w", o.kind, o.key, o.at, failure)
		}
		failed := run(t, fault)
		if !fired {
			require.False(t, failed, "without a fault there is no error")
			return n
		}
	}
}

// oldCopies fills a bucket with copies, and with a backup that a killed process has left.
func oldCopies(t *testing.T, b *faultyBucket, values ...string) {
	t.Helper()
	for _, value := range values {
		_, err := b.copies(t, WithKeepAll()).Copy(t.Context(), store(t, value))
		require.NoError(t, err)
	}
	stored := time.Now().Add(-leftoverAge - time.Hour)
	b.put("app/"+newName(stored), []byte("{"), stored)
	b.put("app/"+newName(stored)+".18c3f.tmp", []byte("{"), stored)
}

// requireWhole fails the test unless all copies that are listed are whole, and returns the values
// that they hold, oldest first.
func requireWhole(t *testing.T, b *faultyBucket) (values []string) {
	t.Helper()
	c := b.copies(t)
	found, err := c.List(t.Context())
	require.NoError(t, err)
	for _, copy := range found {
		s := store(t, "")
		require.NoError(t, c.RestoreCopy(t.Context(), s, copy))
		values = append(values, valueOf(s))
	}
	return values
}

// Every operation of a copy fails in its turn. Whatever the error, old copies are as they were, or are
// removed beside a new one, and what is listed is whole.
func TestEveryOperationOfACopyFails(t *testing.T) {
	for _, failure := range []error{errOutage, errRefused} {
		t.Run(failure.Error(), func(t *testing.T) {
			kinds := map[string]bool{}
			ops := sweep(t, failure, func(t *testing.T, fault func(context.Context, op) error) bool {
				b := newFaultyBucket()
				oldCopies(t, b, "1", "2", "3")
				before := b.contents()
				b.fail(func(ctx context.Context, o op) error {
					err := fault(ctx, o)
					if err != nil {
						kinds[o.kind] = true
					}
					return err
				})
				_, err := b.copies(t, WithKeep(2, 0)).Copy(t.Context(), store(t, "4"))
				b.fail(nil)
				requireAfterFault(t, b, before, err, failure)
				return err != nil
			})
			require.Greater(t, ops, 15)
			require.Len(t, kinds, 8, "each kind of operation has failed")
		})
	}
}

// requireAfterFault checks a bucket after a copy of which one operation has failed.
func requireAfterFault(t *testing.T, b *faultyBucket, before map[string]string, err, failure error) {
	t.Helper()
	values := requireWhole(t, b)
	after := b.contents()
	for key, text := range before {
		now, found := after[key]
		require.True(t, !found || now == text, "%s is not what it was", key)
	}
	switch {
	case err == nil:
		require.Equal(t, []string{"3", "4"}, values)
	case errors.Is(err, ErrPrune):
		require.ErrorIs(t, err, failure)
		require.Subset(t, []string{"1", "2", "3", "4"}, values)
		require.Equal(t, []string{"3", "4"}, values[len(values)-2:])
	default:
		require.ErrorIs(t, err, failure)
		// If only the answer was lost, the copy is there.
		require.Equal(t, []string{"1", "2", "3"}, values[:3])
		require.True(t, len(values) == 3 || values[3] == "4" && strings.Contains(err.Error(), "committed"), values)
	}
	if errors.Is(failure, errRefused) && err != nil {
		require.ErrorIs(t, err, fs.ErrPermission)
	}
	// The next copy puts everything in order.
	_, err = b.copies(t, WithKeep(2, 0)).Copy(t.Context(), store(t, "5"))
	require.NoError(t, err)
	require.Equal(t, "5", requireWhole(t, b)[1])
	require.Len(t, requireWhole(t, b), 2)
}

// A program that may not read back must not add a backup with each attempt.
func TestAttemptsThatFailDoNotPileUp(t *testing.T) {
	for _, kind := range []string{"write", "commit", "committed", "open", "read"} {
		t.Run(kind, func(t *testing.T) {
			b := newFaultyBucket()
			oldCopies(t, b, "1")
			b.fail(func(_ context.Context, o op) error {
				if o.kind == kind {
					return errRefused
				}
				return nil
			})
			for range 5 {
				_, err := b.copies(t).Copy(t.Context(), store(t, "2"))
				require.ErrorIs(t, err, errRefused)
			}
			b.fail(nil)
			objects := len(b.contents())
			require.Equal(t, 2, objects, "the old copy alone")
			require.Equal(t, []string{"1"}, requireWhole(t, b))
		})
	}
}

// A bucket is full after each number of bytes.
func TestFullBucket(t *testing.T) {
	b := newFaultyBucket()
	oldCopies(t, b, "old")
	before, used := b.contents(), 0
	for _, text := range before {
		used += len(text)
	}
	want := int(must(b.copies(t).List(t.Context()))[0].Bytes)
	for room := range want {
		b.room = used + room
		_, err := b.copies(t).Copy(t.Context(), store(t, "new"))
		require.ErrorIs(t, err, errNoRoom)
		require.Equal(t, []string{"old"}, requireWhole(t, b))
		if room == 0 {
			require.Len(t, b.contents(), 2, "the leftovers have made room")
			used -= 2 // their bytes
		}
	}
	b.room = used + want
	_, err := b.copies(t).Copy(t.Context(), store(t, "new"))
	require.NoError(t, err)
	require.Equal(t, []string{"old", "new"}, requireWhole(t, b))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A writer is a source of a copy.
type writer func(io.Writer) (int64, error)

func (w writer) WriteTo(to io.Writer) (int64, error) { return w(to) }

var errSource = errors.New("the source fails")

// Each way in which a source can end early.
func TestSourcesThatEndEarly(t *testing.T) {
	sources := map[string]writer{
		"an error": func(w io.Writer) (int64, error) {
			n, _ := io.WriteString(w, `{"a":`)
			return int64(n), errSource
		},
		"an error at once": func(io.Writer) (int64, error) { return 0, errSource },
		"a count that is wrong": func(w io.Writer) (int64, error) {
			n, err := io.WriteString(w, "{}")
			return int64(n) + 1, err
		},
		"a panic": func(w io.Writer) (int64, error) {
			io.WriteString(w, "{")
			panic(errSource)
		},
		"a Goexit": func(w io.Writer) (int64, error) {
			io.WriteString(w, "{")
			runtime.Goexit()
			return 0, nil
		},
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			b := newFaultyBucket()
			oldCopies(t, b, "old")
			copies := b.copies(t)
			ended := make(chan error, 1)
			go func() {
				var err error
				returned := false
				defer func() {
					if r := recover(); r != nil {
						err = r.(error)
					} else if !returned {
						err = errSource
					}
					ended <- err
				}()
				_, err = copies.Copy(context.Background(), source)
				returned = true
			}()
			err := <-ended
			require.True(t, errors.Is(err, errSource) || errors.Is(err, io.ErrShortWrite), "%v", err)
			require.Len(t, b.contents(), 2)
			require.Equal(t, []string{"old"}, requireWhole(t, b))
		})
	}
}

// A driver that takes less than it was given, and says nothing.
func TestShortWritesAreNoticed(t *testing.T) {
	r := &receiver{ctx: t.Context(), to: shortWriter{}, sum: sha256.New(), moved: func(int64) {}}
	n, err := r.Write([]byte("abc"))
	require.Equal(t, 2, n)
	require.ErrorIs(t, err, io.ErrShortWrite)
	require.Equal(t, int64(2), r.bytes)
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) - 1, nil }

// The bucket stores other bytes than it was sent. The copy is not sealed, and is gone afterwards.
func TestABucketThatChangesBytes(t *testing.T) {
	changes := map[string]func([]byte) []byte{
		"flips a bit": func(p []byte) []byte { p[len(p)/2] ^= 1; return p },
		"cuts off":    func(p []byte) []byte { return p[:len(p)-1] },
		"adds":        func(p []byte) []byte { return append(p, ' ') },
		"loses all":   func([]byte) []byte { return nil },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			b := newFaultyBucket()
			oldCopies(t, b, "old")
			b.fail(func(_ context.Context, o op) error {
				if o.kind == "committed" {
					b.put(o.key, change([]byte(b.contents()[o.key])), time.Now())
				}
				return nil
			})
			_, err := b.copies(t, WithKeep(1, 0)).Copy(t.Context(), store(t, "new"))
			require.ErrorIs(t, err, ErrDamaged)
			require.NotErrorIs(t, err, ErrPrune)
			b.fail(nil)
			require.Equal(t, []string{"old"}, requireWhole(t, b), "nothing is removed for a copy that was not verified")
		})
	}
}

// Copies are removed once the new one is sealed, and not before: for each copy, the seal first.
func TestTheOrderOfACopy(t *testing.T) {
	b := newFaultyBucket()
	oldCopies(t, b, "1", "2")
	old, done := must(b.copies(t).List(t.Context())), len(b.ops)
	made, err := b.copies(t, WithKeep(1, 0)).Copy(t.Context(), store(t, "3"))
	require.NoError(t, err)
	var order []op
	for _, o := range b.ops[done:] {
		if o.kind == "committed" || o.kind == "deleted" || o.kind == "open" {
			order = append(order, op{kind: o.kind, key: o.key})
		}
	}
	require.Equal(t, []op{
		{kind: "committed", key: made.Name}, {kind: "open", key: made.Name}, {kind: "committed", key: sealOf(made)},
		{kind: "deleted", key: sealOf(old[0])}, {kind: "deleted", key: old[0].Name},
		{kind: "deleted", key: sealOf(old[1])}, {kind: "deleted", key: old[1].Name},
	}, slices.DeleteFunc(order, func(o op) bool { return o.kind == "deleted" && len(order) > 7 && isLeftover(o, old) }))
}

// isLeftover reports whether an object is none of the copies.
func isLeftover(o op, copies []Copy) bool {
	return !slices.ContainsFunc(copies, func(c Copy) bool { return o.key == c.Name || o.key == sealOf(c) })
}

// Another writer removes everything that it can, at every operation of a copy.
func TestAnotherWriterPrunes(t *testing.T) {
	for n := range 40 {
		b := newFaultyBucket()
		oldCopies(t, b, "1", "2", "3")
		count := 0
		b.fail(func(context.Context, op) error {
			if count++; count == n {
				_, err := b.copies(t, WithKeep(1, 0)).Copy(context.Background(), store(t, "other"))
				return err
			}
			return nil
		})
		_, err := b.copies(t, WithKeep(1, 0)).Copy(t.Context(), store(t, "4"))
		require.NoError(t, err)
		b.fail(nil)
		values := requireWhole(t, b)
		require.NotEmpty(t, values)
		require.Subset(t, []string{"other", "4"}, values)
	}
}

// refusesMissing returns a fault for a bucket that refuses to remove an object that is not there, as S3 does
// under the policy of README, and has the operations fail that fault fails.
func (b *faultyBucket) refusesMissing(fault func(op) error) func(context.Context, op) error {
	return func(_ context.Context, o op) error {
		if _, found := b.contents()[o.key]; o.kind == "delete" && !found {
			return errRefused
		}
		return fault(o)
	}
}

// Under that policy, two writers that remove the same copies are no failure.
func TestAnotherWriterPrunesWhereMissingIsRefused(t *testing.T) {
	b := newFaultyBucket()
	oldCopies(t, b, "1", "2", "3")
	all := b.contents()
	b.fail(b.refusesMissing(func(o op) error {
		if o.kind == "committed" && strings.HasSuffix(o.key, sealed) { // all that was there is gone
			for key := range all {
				if err := b.Delete(context.Background(), key, nil); err != nil && !errors.Is(err, errRefused) {
					return err
				}
			}
		}
		return nil
	}))
	must(b.copies(t, WithKeep(1, 0)).Copy(t.Context(), store(t, "4")))
	require.Equal(t, []string{"4"}, requireWhole(t, b))

	// A seal that was refused is not there, and the backup is removed.
	b.fail(b.refusesMissing(func(o op) error {
		if o.kind == "commit" && strings.HasSuffix(o.key, sealed) {
			return errRefused
		}
		return nil
	}))
	_, err := b.copies(t, WithKeep(1, 0)).Copy(t.Context(), store(t, "5"))
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Len(t, b.contents(), 2)
	require.Equal(t, []string{"4"}, requireWhole(t, b))
}

// plant puts an object into a bucket that a writer has begun, and the bucket has stored, before now.
func plant(b *faultyBucket, begun, stored time.Duration, text string) (key string) {
	now := time.Now()
	key = "app/" + newName(now.Add(-begun))
	b.put(key, []byte(text), now.Add(-stored))
	return key
}

// plantCopy puts a sealed copy into a bucket. Its backup has missing bytes fewer than the seal says.
func plantCopy(b *faultyBucket, begun, stored time.Duration, missing int) Copy {
	key := plant(b, begun, stored, "{}")
	made := Copy{Name: key, Bytes: int64(2 + missing), SHA256: sha256.Sum256([]byte("{}"))}
	made.Time, _ = timeOf(strings.TrimPrefix(key, "app/"))
	b.put(sealOf(made), nil, time.Now().Add(-stored))
	return made
}

// A leftover may be the work of another writer. It is removed only if two clocks say that it is old.
func TestLeftoversStayForADay(t *testing.T) {
	const hour, old, forgotten = time.Hour, leftoverAge + time.Minute, forgottenAge + time.Minute
	for name, tt := range map[string]struct {
		begun, stored, newest time.Duration // before now
		stays                 bool
	}{
		"an hour":                                    {hour, hour, 0, true},
		"almost a day":                               {leftoverAge - time.Minute, leftoverAge - time.Minute, 0, true},
		"a day":                                      {old, old, 0, false},
		"the bucket's clock was ahead":               {hour, hour, -10 * forgotten, true},
		"the bucket's clock was behind":              {hour, forgotten, 0, true},
		"the writer's clock was behind":              {forgotten, hour, 0, true},
		"two days, and nothing is newer":             {2 * old, 2 * old, 2 * old, true},
		"a week, and nothing is newer":               {forgotten, forgotten, forgotten, false},
		"a week by the writer, a day by the bucket":  {forgotten, old, old, true},
		"a day by the writer, a week by the bucket":  {old, forgotten, forgotten, true},
		"a name that is ahead, as behind one":        {-forgotten, old, 0, true},
		"a day, and the newest object is from ahead": {old, old, -forgotten, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFaultyBucket()
			backup := plant(b, tt.begun, tt.stored, "{")
			b.put(backup+".0f.tmp", nil, time.Now().Add(-tt.stored))
			plantCopy(b, tt.newest, tt.newest, 0)
			must(b.copies(t).Copy(t.Context(), store(t, "new")))
			want := 4
			if tt.stays {
				want = 6
			}
			require.Len(t, b.contents(), want)
		})
	}
}

// While a writer waits before its seal, another one comes and goes. Whatever the clocks say, a copy
// that counts has its backup.
func TestAWriterThatWaits(t *testing.T) {
	waits := map[string]func(b *faultyBucket){
		"one object has a time that is ahead": func(b *faultyBucket) { plantCopy(b, 0, -2*leftoverAge, 0) },
		"the machine sleeps":                  func(*faultyBucket) { time.Sleep(leftoverAge + time.Hour) },
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *faultyBucket) {
				must(b.copies(t).Copy(t.Context(), store(t, "old")))
				wait, others := sync.OnceFunc(func() { wait(b) }), 0
				copies := b.copies(t, WithKeep(1, 0), WithProgress(func(p Progress) {
					if p.Action != ReadingBack || p.Bytes < p.Total || others == 2 {
						return
					}
					wait()
					for ; others < 2; others++ { // the first makes the leftover old, the second removes it
						must(b.copies(t).Copy(context.Background(), store(t, "other")))
					}
				}))
				made, err := copies.Copy(t.Context(), store(t, "new"))
				if err == nil {
					require.NoError(t, copies.Verify(t.Context(), made))
				} else {
					require.ErrorContains(t, err, "12h0m0s have passed")
					require.NotErrorIs(t, err, ErrPrune)
				}
				for _, found := range must(b.copies(t).List(t.Context())) {
					require.NoError(t, b.copies(t).Verify(t.Context(), found))
				}
			})
		})
	}
}

// A machine sleeps while its seal is on the way.
func TestASealThatComesLate(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		must(b.copies(t).Copy(t.Context(), store(t, "old")))
		b.fail(func(_ context.Context, o op) error {
			if o.kind == "committed" && strings.HasSuffix(o.key, sealed) {
				time.Sleep(leftoverAge)
			}
			return nil
		})
		_, err := b.copies(t, WithKeep(1, 0)).Copy(t.Context(), store(t, "new"))
		require.ErrorContains(t, err, "12h0m0s have passed")
		b.fail(nil)
		require.Equal(t, []string{"old"}, requireWhole(t, b))
		require.Len(t, b.contents(), 2)
	})
}

// A writer whose clock is right does not remove what another one is writing because the bucket
// has a time that is ahead.
func TestATimeAheadDoesNotStarveWriters(t *testing.T) {
	b := newFaultyBucket()
	plantCopy(b, 0, -leftoverAge-time.Hour, 0)
	copies := b.copies(t)
	var pending string
	must(copies.Copy(t.Context(), writer(func(w io.Writer) (int64, error) {
		pending = plant(b, 0, 0, "{") + ".0f.tmp"
		b.put(pending, nil, time.Now())
		must(copies.Copy(t.Context(), store(t, "other")))
		return writes("{}")(w)
	})))
	require.Contains(t, b.contents(), pending)
}

// A killed process leaves a part that fills the bucket. No newer object ever tells its age.
func TestALeftoverThatFillsTheBucket(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		must(b.copies(t).Copy(t.Context(), store(t, "old")))
		after(time.Hour)
		b.put(plant(b, 0, 0, "")+".18c3f.tmp", make([]byte, 500), time.Now())
		b.room = 510
		_, err := b.copies(t).Copy(t.Context(), store(t, "new"))
		require.ErrorIs(t, err, errNoRoom)
		after(forgottenAge)
		_, err = b.copies(t).Copy(t.Context(), store(t, "new"))
		require.ErrorIs(t, err, errNoRoom)
		after(time.Hour)
		must(b.copies(t).Copy(t.Context(), store(t, "new")))
		require.Equal(t, []string{"old", "new"}, requireWhole(t, b))
	})
}

// A copy that the listing shows to be damaged does not count as a copy that is kept. It is removed
// after a day, beside a newer copy.
func TestDamagedCopiesDoNotCount(t *testing.T) {
	for _, age := range []time.Duration{time.Hour, leftoverAge + time.Hour} {
		b := newFaultyBucket()
		older := plantCopy(b, age+2*time.Minute, age, 0)
		damaged := plantCopy(b, age+time.Minute, age, 1)
		plantCopy(b, 0, 0, 0)
		must(b.copies(t, WithKeep(3, 0)).Copy(t.Context(), store(t, "newest")))
		found := must(b.copies(t).List(t.Context()))
		require.Equal(t, age < leftoverAge, slices.Contains(found, damaged))
		require.Contains(t, found, older, "the third of the copies that are whole")
	}
}

// A name has room for years of four digits. A copy with a longer name would never be listed.
func TestNoCopyBehindTheLastYear(t *testing.T) {
	b := newFaultyBucket()
	last := Copy{Name: "app/" + newName(time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC))}
	b.put(last.Name, nil, time.Now())
	b.put(sealOf(last), nil, time.Now())
	_, err := b.copies(t, WithKeep(1, 0)).Copy(t.Context(), store(t, "new"))
	require.ErrorContains(t, err, "no name sorts behind that of "+last.Name)
	require.Len(t, b.contents(), 2)
}

// Writers on one prefix share one rule of copies that stay, and so one number of newest copies: a
// writer that is busy takes the places of one that is not.
func TestWritersShareOneRule(t *testing.T) {
	b := newFaultyBucket()
	rare := must(b.copies(t, WithKeep(3, 0)).Copy(t.Context(), store(t, "rare")))
	for range 3 {
		require.Contains(t, must(b.copies(t).List(t.Context())), rare)
		must(b.copies(t, WithKeep(3, 0)).Copy(t.Context(), store(t, "busy")))
	}
	require.NotContains(t, must(b.copies(t).List(t.Context())), rare)
}

package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie"
)

// inBubble runs a test of a schedule. At the end no goroutine may be left: a bubble fails then.
func inBubble(t *testing.T, test func(t *testing.T, b *faultyBucket)) {
	synctest.Test(t, func(t *testing.T) { test(t, newFaultyBucket()) })
}

// start starts a schedule of a copy each minute.
func start(t *testing.T, b *faultyBucket, s *genie.Store) *Schedule {
	t.Helper()
	schedule, err := b.copies(t).Start(s, time.Minute)
	require.NoError(t, err)
	return schedule
}

// after waits until the copies that are due within d have been made.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestACopyEachIntervalWithAChange(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		s := store(t, "1")
		schedule := start(t, b, s)
		began := time.Now()
		require.Equal(t, Stats{Next: began.Add(time.Minute)}, schedule.Stats(), "at once")
		require.Equal(t, Stats{Next: began.Add(time.Minute)}, statsOf(schedule))
		after(time.Minute - time.Nanosecond)
		require.Empty(t, b.contents())
		after(time.Nanosecond)
		require.Equal(t, []string{"1"}, requireWhole(t, b))

		after(3 * time.Minute)
		require.Len(t, requireWhole(t, b), 1, "nothing has changed")
		s.Set("value", "2")
		s.Set("value", "3")
		after(time.Minute)
		require.Equal(t, []string{"1", "3"}, requireWhole(t, b))
		s.Delete("value")
		after(time.Minute)
		require.Equal(t, []string{"1", "3", ""}, requireWhole(t, b), "an emptied store has changed")

		found := schedule.Stats()
		require.Equal(t, uint64(3), found.Copies)
		require.Equal(t, must(b.copies(t).List(t.Context()))[2], found.LastCopy)
		require.Equal(t, began.Add(6*time.Minute), found.LastAt)
		require.Equal(t, began.Add(7*time.Minute), found.Next)
		require.Zero(t, found.Failed)
		require.NoError(t, schedule.Stop(t.Context()))
		require.Zero(t, schedule.Stats().Next)
		_, open := <-schedule.Errors()
		require.False(t, open)
	})
}

// statsOf returns the Stats once the schedule waits.
func statsOf(s *Schedule) Stats {
	synctest.Wait()
	return s.Stats()
}

func TestAnEmptyStoreThatWasNeverWrittenToIsNotCopied(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		s, err := genie.NewStore(genie.WithoutFile())
		require.NoError(t, err)
		schedule := start(t, b, s)
		after(time.Hour)
		require.NoError(t, schedule.Stop(t.Context()))
		require.Empty(t, b.contents())
	})
}

func TestEntriesThatWereLoadedAreCopiedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		path := t.TempDir() + "/a.json"
		first, err := genie.NewStore(genie.WithPath(path))
		require.NoError(t, err)
		first.Set("value", "loaded")
		require.NoError(t, first.Close())
		s, err := genie.NewStore(genie.WithPath(path))
		require.NoError(t, err)
		schedule := start(t, b, s)
		after(time.Hour)
		require.NoError(t, schedule.Stop(t.Context()))
		require.Equal(t, []string{"loaded"}, requireWhole(t, b))
		require.NoError(t, s.Close())
	})
}

func TestStopMakesALastCopy(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		s := store(t, "1")
		schedule := start(t, b, s)
		after(time.Minute)
		s.Set("value", "2")
		require.NoError(t, schedule.Stop(t.Context()))
		require.Equal(t, []string{"1", "2"}, requireWhole(t, b))
		require.Equal(t, uint64(2), schedule.Stats().Copies)
		s.Set("value", "3")
		after(time.Hour)
		require.NoError(t, schedule.Stop(t.Context()), "a second Stop does nothing")
		require.Len(t, requireWhole(t, b), 2)
	})
}

func TestStopWithoutAChangeAsksNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		schedule := start(t, b, store(t, "1"))
		after(time.Minute)
		b.fail(at(func(op) bool { return true }, errOutage))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, schedule.Stop(ended))
	})
}

func TestStopWithAContextThatHasEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		schedule := start(t, b, store(t, "1"))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, schedule.Stop(ended), context.Canceled)
		require.ErrorIs(t, schedule.Stop(t.Context()), context.Canceled, "the error of the first")
		require.Empty(t, b.contents())
		require.ErrorIs(t, <-schedule.Errors(), context.Canceled)
	})
}

// hangs returns a fault in which operations of a kind wait until their context ends.
func hangs(kind string) func(context.Context, op) error {
	return func(ctx context.Context, o op) error {
		if o.kind != kind {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// Stop gives up a copy that hangs, at each of its operations.
func TestStopGivesUpACopyThatHangs(t *testing.T) {
	for _, kind := range []string{"list", "write", "commit", "committed", "open", "read", "delete"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *faultyBucket) {
				oldCopies(t, b, "old")
				s := store(t, "new")
				schedule := start(t, b, s)
				b.fail(hangs(kind))
				after(time.Minute)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				require.Error(t, schedule.Stop(ctx))
				require.Less(t, time.Since(began), 2*time.Second)
				b.fail(nil)
				require.Equal(t, "old", requireWhole(t, b)[0])
				for err := range schedule.Errors() {
					require.True(t, errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded), "%v", err)
				}
			})
		})
	}
}

// A later Stop is in more of a hurry than the first.
func TestALaterStopGivesTheCopyUp(t *testing.T) {
	for name, before := range map[string]time.Duration{"the copy in progress": time.Minute, "the last copy": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *faultyBucket) {
				b.fail(hangs("write"))
				schedule := start(t, b, store(t, "1"))
				after(before)
				first := make(chan error)
				go func() { first <- schedule.Stop(t.Context()) }()
				after(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				require.ErrorIs(t, schedule.Stop(ctx), context.DeadlineExceeded)
				require.Equal(t, time.Second, time.Since(began))
				require.ErrorIs(t, <-first, context.DeadlineExceeded)
			})
		})
	}
}

// The longest time that a write is in no copy: it comes just after a copy was begun.
func TestAWriteIsCopiedAfterTwoCopiesAndAnInterval(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		const took = 50 * time.Second
		s := store(t, "1")
		b.fail(func(_ context.Context, o op) error {
			if o.kind == "open" {
				time.Sleep(took)
			}
			return nil
		})
		schedule := start(t, b, s)
		after(time.Minute + time.Nanosecond)
		s.Set("value", "2")
		after(took + time.Minute + took - 2*time.Nanosecond)
		require.Equal(t, uint64(1), schedule.Stats().Copies)
		after(2 * time.Nanosecond)
		require.Equal(t, uint64(2), schedule.Stats().Copies)
		b.fail(nil)
		require.Equal(t, []string{"1", "2"}, requireWhole(t, b))
		require.NoError(t, schedule.Stop(t.Context()))
	})
}

func TestStopWaitsForTheCopyInProgress(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		goOn := make(chan struct{})
		b.fail(func(_ context.Context, o op) error {
			if o.kind == "commit" {
				<-goOn
			}
			return nil
		})
		schedule := start(t, b, store(t, "1"))
		after(time.Minute)
		require.Zero(t, schedule.Stats().Next, "a copy is being made")
		stopped := make(chan error)
		go func() { stopped <- schedule.Stop(t.Context()) }()
		after(time.Minute)
		select {
		case <-stopped:
			t.Fatal("Stop did not wait")
		default:
		}
		close(goOn)
		require.NoError(t, <-stopped)
		require.Equal(t, []string{"1"}, requireWhole(t, b))
	})
}

// A copy that takes longer than the interval does not make the next ones come at once.
func TestASlowCopyDelaysTheNext(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		s := store(t, "0")
		b.fail(func(_ context.Context, o op) error {
			if o.kind == "open" { // once in each copy
				time.Sleep(150 * time.Second)
			}
			s.Set("value", o.kind)
			return nil
		})
		schedule := start(t, b, s)
		after(time.Minute + 4*(150+60)*time.Second)
		require.Equal(t, uint64(4), schedule.Stats().Copies)
		require.Equal(t, 150*time.Second, schedule.Stats().LastTook)
		require.NoError(t, schedule.Stop(t.Context()))
	})
}

func TestErrorsOfASchedule(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		count := 0
		b.fail(func(_ context.Context, o op) error {
			count++
			return fmt.Errorf("attempt %d: %w", count, errOutage)
		})
		schedule := start(t, b, store(t, "1"))
		after(15 * time.Minute)
		found := schedule.Stats()
		require.Equal(t, uint64(15), found.Failed)
		require.ErrorContains(t, found.LastError, "attempt 15")
		require.Equal(t, time.Now(), found.LastErrorAt)
		require.Zero(t, found.Copies)
		b.fail(nil)
		after(time.Minute)
		require.Equal(t, []string{"1"}, requireWhole(t, b), "a failure does not make the change forgotten")
		require.Equal(t, uint64(1), schedule.Stats().Copies)
		require.NoError(t, schedule.Stop(t.Context()))
		var texts []string
		for err := range schedule.Errors() {
			require.ErrorIs(t, err, errOutage)
			texts = append(texts, err.Error())
		}
		require.Len(t, texts, errorsHeld, "the ten oldest stay")
		for i, text := range texts {
			require.Contains(t, text, "attempt "+strconv.Itoa(i+1)+":")
		}
	})
}

// A copy of which only the removal of others failed is a copy.
func TestAScheduleThatMayNotDelete(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		b.fail(at(func(o op) bool { return o.kind == "delete" }, errRefused))
		schedule, err := b.copies(t, WithKeep(1, 0)).Start(store(t, "1"), time.Minute)
		require.NoError(t, err)
		after(time.Minute)
		schedule.store.Set("value", "2")
		after(5 * time.Minute)
		require.Equal(t, uint64(2), schedule.Stats().Copies)
		require.Zero(t, schedule.Stats().Failed)
		require.ErrorIs(t, schedule.Stats().LastError, ErrPrune)
		require.NoError(t, schedule.Stop(t.Context()))
		err = <-schedule.Errors()
		require.ErrorIs(t, err, ErrPrune)
		require.ErrorIs(t, err, fs.ErrPermission)
		require.Equal(t, []string{"1", "2"}, requireWhole(t, b))
	})
}

// A write that comes while a copy is made is in that copy or in the next.
func TestAWriteDuringACopyIsNotMissed(t *testing.T) {
	for _, kind := range []string{"list", "write", "commit", "read", "committed"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *faultyBucket) {
				s, once := store(t, "1"), sync.Once{}
				b.fail(func(_ context.Context, o op) error {
					if o.kind == kind {
						once.Do(func() { s.Set("value", "2") })
					}
					return nil
				})
				schedule := start(t, b, s)
				after(2 * time.Minute)
				values := requireWhole(t, b)
				require.Equal(t, "2", values[len(values)-1])
				copies := schedule.Stats().Copies
				after(5 * time.Minute)
				require.Equal(t, copies, schedule.Stats().Copies)
				require.NoError(t, schedule.Stop(t.Context()))
			})
		})
	}
}

// A bucket that does not answer holds a copy for stallLimit, and not for ever.
func TestACopyThatStalls(t *testing.T) {
	const upload = 6*time.Minute + 24*time.Second
	for kind, limit := range map[string]time.Duration{
		"list": stallLimit, "write": upload, "commit": upload, "open": stallLimit, "read": stallLimit,
	} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *faultyBucket) {
				oldCopies(t, b, "old")
				b.fail(hangs(kind))
				began := time.Now()
				_, err := b.copies(t).Copy(t.Context(), store(t, "new"))
				require.ErrorIs(t, err, ErrStalled)
				require.ErrorContains(t, err, "no progress for "+limit.String())
				require.Equal(t, limit, time.Since(began))
				b.fail(nil)
				require.Equal(t, []string{"old"}, requireWhole(t, b))
			})
		})
	}
}

// A slow bucket is no stalled one.
func TestASlowCopyDoesNotStall(t *testing.T) {
	inBubble(t, func(t *testing.T, b *faultyBucket) {
		b.fail(func(context.Context, op) error {
			time.Sleep(stallLimit - time.Second)
			return nil
		})
		_, err := b.copies(t).Copy(t.Context(), store(t, "new"))
		require.NoError(t, err)
		require.Equal(t, []string{"new"}, requireWhole(t, b))
	})
}

// An upload shows progress only when a whole part has been sent, and the client of S3 sends up to
// 16 MiB as one.
func TestLargePartsOnASlowLineDoNotStall(t *testing.T) {
	for part, held := range map[int]int{minPartSize: 16 << 20, defaultPartSize: 3 * defaultPartSize, 64 << 20: 3 * 64 << 20} {
		inBubble(t, func(t *testing.T, b *faultyBucket) {
			b.fail(func(_ context.Context, o op) error {
				if o.kind == "commit" {
					time.Sleep(time.Duration(held/slowest)*time.Second - time.Millisecond)
				}
				return nil
			})
			must(b.copies(t, WithPartSize(part)).Copy(t.Context(), store(t, "new")))
		})
	}
}

func TestAnIntervalMustBePositive(t *testing.T) {
	for _, every := range []time.Duration{0, -time.Second} {
		_, err := newFaultyBucket().copies(t).Start(store(t, "1"), every)
		require.ErrorIs(t, err, fs.ErrInvalid)
	}
}

func TestANilStoreIsRefused(t *testing.T) {
	_, err := newFaultyBucket().copies(t).Start(nil, time.Hour)
	require.ErrorIs(t, err, fs.ErrInvalid)
}

// The detector of the tests above.
func TestAScheduleWithoutAStopIsSeen(t *testing.T) {
	before := goleak.IgnoreCurrent()
	schedule := start(t, newFaultyBucket(), store(t, "1"))
	require.Error(t, goleak.Find(before, goleak.IgnoreTopFunction("none")), "the goroutine of the schedule")
	require.NoError(t, schedule.Stop(t.Context()))
	require.NoError(t, goleak.Find(before))
}

// Copies, writes and calls of Stats run beside each other, and then calls of Stop. All writes end
// before the first Stop, as a copy after the last is not promised.
func TestStopsAtOnce(t *testing.T) {
	b := newFaultyBucket()
	s := store(t, "1")
	schedule, err := b.copies(t).Start(s, time.Microsecond)
	require.NoError(t, err)
	fourTimes(func() {
		for i := range 100 {
			s.Set("value", strconv.Itoa(i))
			schedule.Stats()
		}
	})
	fourTimes(func() {
		if err := schedule.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	values := requireWhole(t, b)
	require.Equal(t, "99", values[len(values)-1])
}

// fourTimes calls f in four goroutines and waits for them.
func fourTimes(f func()) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(f)
	}
	wg.Wait()
}

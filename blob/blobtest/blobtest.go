// Package blobtest tests whether a bucket keeps the copies of package blob as that package
// promises. Run it against the bucket that you are going to use, with the credentials that your
// program is going to have, and under a prefix that they may use:
//
//	func TestOurBucket(t *testing.T) {
//		blobtest.Run(t, func(t *testing.T) *blob.Bucket {
//			bucket, err := blob.OpenBucket(t.Context(), "s3://our-bucket?region=eu-central-1")
//			if err != nil {
//				t.Fatal(err)
//			}
//			return blob.PrefixedBucket(bucket, "app/") // which the policy allows
//		})
//	}
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	cloud "gocloud.dev/blob"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/blob"
)

// Run tests the bucket that open returns. Each test opens the bucket anew, and closes it. Each
// test has a prefix of its own, under "blobtest/", and removes the objects under it at the end;
// no other object is touched. The tests move some 200 MB in all, and take seconds beside the
// bucket, or minutes over a slow line.
//
// The credentials need the rights that copies need: to list, to read, to write and to delete. If they end at a
// prefix, have open return a [gocloud.dev/blob.PrefixedBucket]. If the bucket refuses access to an object that is
// missing, as S3 may, [blob.Copies.Restore] cannot pass over a copy whose backup is missing. The tests accept that.
func Run(t *testing.T, open func(t *testing.T) *cloud.Bucket) {
	for name, test := range map[string]func(*testing.T, *place){
		"a place without copies says so":                    noCopies,
		"a copy comes back":                                 copyComesBack,
		"an empty store is a copy":                          emptyStore,
		"a copy of several parts comes back":                severalParts,
		"a source that fails publishes nothing":             failingSource,
		"a context that ends publishes nothing":             endedContext,
		"a context that has ended reads nothing":            endedBeforehand,
		"the newest copy is restored, or any other":         newestOrAnyOther,
		"a damaged copy is passed over":                     damagedCopies,
		"where all copies are damaged, nothing is restored": allDamaged,
		"a backup without a seal is no copy":                noSeal,
		"a prefix is a world of its own":                    prefixes,
		"the rule of copies that stay is kept":              keepRule,
		"writers at once replace nothing":                   writersAtOnce,
		"a schedule copies what has changed":                schedule,
	} {
		t.Run(name, func(t *testing.T) { test(t, newPlace(t, open(t))) })
	}
}

// A place is a prefix that one test has for itself.
type place struct {
	t      *testing.T
	bucket *cloud.Bucket
	prefix string
}

func newPlace(t *testing.T, bucket *cloud.Bucket) *place {
	p := &place{t, bucket, "blobtest/" + strings.ToLower(rand.Text())}
	t.Cleanup(func() {
		for _, key := range p.keys() {
			require.NoError(t, bucket.Delete(context.Background(), key))
		}
		require.NoError(t, bucket.Close())
	})
	return p
}

// copies returns the copies of the place.
func (p *place) copies(opts ...blob.Option) *blob.Copies {
	p.t.Helper()
	c, err := blob.New(p.bucket, p.prefix, opts...)
	require.NoError(p.t, err)
	return c
}

// keys returns the keys of all objects of the place, in order.
func (p *place) keys() []string {
	p.t.Helper()
	var keys []string
	objects := p.bucket.List(&cloud.ListOptions{Prefix: p.prefix + "/"})
	for {
		object, err := objects.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return keys
		}
		require.NoError(p.t, err)
		keys = append(keys, object.Key)
	}
}

// copy makes a copy of a store with one entry.
func (p *place) copy(value string, opts ...blob.Option) blob.Copy {
	p.t.Helper()
	made, err := p.copies(opts...).Copy(p.t.Context(), storeOf(p.t, map[string]string{"value": value}))
	require.NoError(p.t, err)
	return made
}

// contents returns the bytes of an object.
func (p *place) contents(key string) []byte {
	p.t.Helper()
	b, err := p.bucket.ReadAll(p.t.Context(), key)
	require.NoError(p.t, err)
	return b
}

// replace puts other bytes in the place of an object.
func (p *place) replace(key string, contents []byte) {
	p.t.Helper()
	require.NoError(p.t, p.bucket.WriteAll(p.t.Context(), key, contents, &cloud.WriterOptions{ContentType: "application/json"}))
}

// storeOf returns a store in memory with entries.
func storeOf(t *testing.T, entries map[string]string) *genie.Store {
	t.Helper()
	store, err := genie.NewStore(genie.WithoutFile())
	require.NoError(t, err)
	for key, value := range entries {
		store.Set(key, value)
	}
	return store
}

// untouched is what a store has that a failed restore must leave alone.
var untouched = map[string]string{"before": "the restore"}

func noCopies(t *testing.T, p *place) {
	found, err := p.copies().List(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)

	store := storeOf(t, untouched)
	_, err = p.copies().Restore(t.Context(), store)
	require.ErrorIs(t, err, blob.ErrNoCopy)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, blob.ErrDamaged)
	require.Equal(t, untouched, store.Snapshot())
}

func copyComesBack(t *testing.T, p *place) {
	entries := map[string]string{"": "empty key", "empty value": "", "any\xff bytes": "\x00\xfe", "utf-8": "żółć"}
	store := storeOf(t, entries)
	store.SetWithTTL("ends", "later", time.Hour)
	entries["ends"] = "later"
	made, err := p.copies().Copy(t.Context(), store)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), made.Time, time.Minute)
	require.Equal(t, int64(len(p.contents(made.Name))), made.Bytes)
	require.NoError(t, p.copies().Verify(t.Context(), made))

	found, err := p.copies().List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []blob.Copy{made}, found)

	into := storeOf(t, untouched)
	restored, err := p.copies().Restore(t.Context(), into)
	require.NoError(t, err)
	require.Equal(t, blob.Restored{Copy: made}, restored)
	require.Equal(t, entries, into.Snapshot())
	want, _ := store.ExpiresAt("ends")
	got, ok := into.ExpiresAt("ends")
	require.True(t, ok)
	require.WithinDuration(t, want, got, 0)
}

func emptyStore(t *testing.T, p *place) {
	_, err := p.copies().Copy(t.Context(), storeOf(t, nil))
	require.NoError(t, err)
	into := storeOf(t, untouched)
	_, err = p.copies().Restore(t.Context(), into)
	require.NoError(t, err)
	require.Empty(t, into.Snapshot())
}

// largeEntries are so large that each service takes them in several parts.
func largeEntries() map[string]string {
	entries := map[string]string{}
	for i := range severalPartsSize >> 20 {
		entries[fmt.Sprint(i)] = strings.Repeat(fmt.Sprint(i%10), 1<<20)
	}
	return entries
}

const (
	smallestPart = 5 << 20

	// severalPartsSize is more than the 16 MiB up to which the client of S3 sends an object as
	// one request, whatever the size of a part.
	severalPartsSize = 22 << 20
)

func severalParts(t *testing.T, p *place) {
	entries := largeEntries()
	copies := p.copies(blob.WithPartSize(smallestPart))
	made, err := copies.Copy(t.Context(), storeOf(t, entries))
	require.NoError(t, err)
	require.Greater(t, made.Bytes, int64(severalPartsSize))
	into := storeOf(t, nil)
	_, err = copies.Restore(t.Context(), into)
	require.NoError(t, err)
	require.True(t, mapsEqual(entries, into.Snapshot()))

	// A byte that has changed in the middle.
	contents := p.contents(made.Name)
	contents[len(contents)/2] ^= 1
	p.replace(made.Name, contents)
	var damage *blob.DamageError
	require.ErrorAs(t, copies.Verify(t.Context(), made), &damage)
	require.Equal(t, made, damage.Copy)
}

// mapsEqual compares without printing megabytes where they differ.
func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for key, value := range a {
		if other, ok := b[key]; !ok || other != value {
			return false
		}
	}
	return true
}

// A source writes the beginning of a backup and then does something else.
type source struct {
	begin int // bytes
	then  func() error
}

func (s source) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, io.MultiReader(strings.NewReader(`{"a":"`), bytes.NewReader(bytes.Repeat([]byte("b"), s.begin))))
	if err == nil {
		err = s.then()
	}
	return n, err
}

// sizes are those of sources that fail: within the first write, within a part, behind some parts.
var sizes = []int{0, 1 << 20, severalPartsSize + 1}

// An attempt that fails leaves nothing behind, and the copy before it as it was.
func failsWithoutATrace(t *testing.T, p *place, attempt func(*blob.Copies, int) error, want error) {
	made := p.copy("old")
	before, contents := p.keys(), p.contents(made.Name)
	require.Len(t, before, 2)
	for _, size := range sizes {
		err := attempt(p.copies(blob.WithPartSize(smallestPart)), size)
		require.ErrorIs(t, err, want)
		require.Equal(t, before, p.keys())
	}
	require.Equal(t, contents, p.contents(made.Name))
	into := storeOf(t, nil)
	restored, err := p.copies().Restore(t.Context(), into)
	require.NoError(t, err)
	require.Equal(t, made, restored.Copy)
	require.Empty(t, restored.PassedOver)
}

func failingSource(t *testing.T, p *place) {
	failure := errors.New("the source fails")
	failsWithoutATrace(t, p, func(c *blob.Copies, size int) error {
		_, err := c.Copy(t.Context(), source{size, func() error { return failure }})
		return err
	}, failure)
}

func endedContext(t *testing.T, p *place) {
	failsWithoutATrace(t, p, func(c *blob.Copies, size int) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := c.Copy(ctx, source{size, func() error { cancel(); return nil }})
		return err
	}, context.Canceled)
}

func endedBeforehand(t *testing.T, p *place) {
	made := p.copy("old")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	store := storeOf(t, untouched)
	_, err := p.copies().Restore(ctx, store)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, blob.ErrDamaged)
	require.ErrorIs(t, p.copies().Verify(ctx, made), context.Canceled)
	_, err = p.copies().Copy(ctx, store)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, untouched, store.Snapshot())
	require.Len(t, p.keys(), 2)
}

func newestOrAnyOther(t *testing.T, p *place) {
	var made []blob.Copy
	for i := range 3 {
		made = append(made, p.copy(fmt.Sprint(i)))
	}
	found, err := p.copies().List(t.Context())
	require.NoError(t, err)
	require.Equal(t, made, found, "oldest first")

	store := storeOf(t, untouched)
	restored, err := p.copies().Restore(t.Context(), store)
	require.NoError(t, err)
	require.Equal(t, blob.Restored{Copy: made[2]}, restored)
	require.Equal(t, map[string]string{"value": "2"}, store.Snapshot())
	for i, c := range made {
		require.NoError(t, p.copies().RestoreCopy(t.Context(), store, c))
		require.Equal(t, map[string]string{"value": fmt.Sprint(i)}, store.Snapshot())
	}
}

// missing is the damage that a bucket may not tell from a missing right.
const missing = "the backup is missing"

// Each damage that a bucket may do to a backup.
var damages = map[string]func(t *testing.T, p *place, c blob.Copy){
	"a byte has changed": func(t *testing.T, p *place, c blob.Copy) {
		contents := p.contents(c.Name)
		contents[len(contents)-3] ^= 1
		p.replace(c.Name, contents)
	},
	"the end is cut off": func(t *testing.T, p *place, c blob.Copy) {
		contents := p.contents(c.Name)
		p.replace(c.Name, contents[:len(contents)-1])
	},
	"something is behind the end": func(t *testing.T, p *place, c blob.Copy) {
		p.replace(c.Name, append(p.contents(c.Name), '\n'))
	},
	"nothing is left": func(t *testing.T, p *place, c blob.Copy) { p.replace(c.Name, nil) },
	missing: func(t *testing.T, p *place, c blob.Copy) {
		require.NoError(t, p.bucket.Delete(t.Context(), c.Name))
	},
	"it is another backup": func(t *testing.T, p *place, c blob.Copy) {
		p.replace(c.Name, bytes.ReplaceAll(p.contents(c.Name), []byte("value"), []byte("other")))
	},
}

// refusesMissing reports whether the bucket refuses access to a copy whose backup is missing. A restore must
// take that for a refusal then, and not for damage. The seal is removed, so that other copies can be tried.
func (p *place) refusesMissing(what string, c blob.Copy) bool {
	p.t.Helper()
	if what != missing || !errors.Is(p.copies().Verify(p.t.Context(), c), fs.ErrPermission) {
		return false
	}
	store := storeOf(p.t, untouched)
	_, err := p.copies().Restore(p.t.Context(), store)
	require.ErrorIs(p.t, err, fs.ErrPermission)
	require.NotErrorIs(p.t, err, blob.ErrDamaged)
	require.NotErrorIs(p.t, err, fs.ErrNotExist)
	require.Equal(p.t, untouched, store.Snapshot())
	for _, key := range p.keys() {
		if strings.HasPrefix(key, c.Name) {
			require.NoError(p.t, p.bucket.Delete(p.t.Context(), key))
		}
	}
	p.t.Log("the bucket refuses access to an object that is missing, so a restore cannot pass over such a copy")
	return true
}

func damagedCopies(t *testing.T, p *place) {
	good := p.copy("good")
	want := blob.Restored{Copy: good}
	for what, damage := range damages {
		c := p.copy(what)
		damage(t, p, c)
		if p.refusesMissing(what, c) {
			continue
		}
		store := storeOf(t, untouched)
		var found *blob.DamageError
		require.ErrorAs(t, p.copies().Verify(t.Context(), c), &found, what)
		require.ErrorAs(t, p.copies().RestoreCopy(t.Context(), store, c), &found, what)
		require.Equal(t, c, found.Copy)
		require.Equal(t, untouched, store.Snapshot(), what)

		restored, err := p.copies().Restore(t.Context(), store)
		require.NoError(t, err, what)
		require.Equal(t, good, restored.Copy)
		require.Len(t, restored.PassedOver, len(want.PassedOver)+1)
		require.Equal(t, c, restored.PassedOver[0].Copy, "newest first")
		require.ErrorIs(t, restored.PassedOver[0], blob.ErrDamaged)
		require.Equal(t, map[string]string{"value": "good"}, store.Snapshot())
		want = restored
	}
}

func allDamaged(t *testing.T, p *place) {
	damaged := 0
	for what, damage := range damages {
		c := p.copy(what)
		damage(t, p, c)
		if !p.refusesMissing(what, c) {
			damaged++
		}
	}
	store := storeOf(t, untouched)
	restored, err := p.copies().Restore(t.Context(), store)
	require.ErrorIs(t, err, blob.ErrDamaged)
	require.NotErrorIs(t, err, fs.ErrNotExist, "damage must not look like an empty place")
	require.Len(t, restored.PassedOver, damaged)
	require.Equal(t, untouched, store.Snapshot())
}

func noSeal(t *testing.T, p *place) {
	made := p.copy("sealed")
	keys := p.keys()
	require.Equal(t, made.Name, keys[0])
	require.NoError(t, p.bucket.Delete(t.Context(), keys[1]))
	found, err := p.copies().List(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
	_, err = p.copies().Restore(t.Context(), storeOf(t, nil))
	require.ErrorIs(t, err, blob.ErrNoCopy)
}

func prefixes(t *testing.T, p *place) {
	made := p.copy("outer")
	inner := *p
	inner.prefix += "/inner"
	inner.copy("inner")
	beside := *p
	beside.prefix += "x"
	t.Cleanup(func() {
		for _, key := range beside.keys() {
			require.NoError(t, p.bucket.Delete(context.Background(), key))
		}
	})
	beside.copy("beside")
	p.replace(p.prefix+"/notes.txt", []byte("of a person"))
	p.replace(made.Name+".gz", []byte("of a person"))

	found, err := p.copies().List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []blob.Copy{made}, found)
	require.Contains(t, p.keys(), p.prefix+"/notes.txt")
	p.copy("newer", blob.WithKeep(1, 0))
	require.Contains(t, p.keys(), p.prefix+"/notes.txt")
	require.Contains(t, p.keys(), made.Name+".gz")
	require.NotContains(t, p.keys(), made.Name)
	require.Len(t, inner.keys(), 2)
	require.Len(t, beside.keys(), 2)
}

func keepRule(t *testing.T, p *place) {
	var made []blob.Copy
	for i := range 5 {
		made = append(made, p.copy(fmt.Sprint(i), blob.WithKeep(3, 0)))
		found, err := p.copies().List(t.Context())
		require.NoError(t, err)
		require.Equal(t, made[max(0, len(made)-3):], found)
		require.Len(t, p.keys(), 2*len(found), "nothing is left of the others")
	}
	p.copy("one more", blob.WithKeepAll())
	require.Len(t, p.keys(), 8)
}

func writersAtOnce(t *testing.T, p *place) {
	const writers, each = 4, 3
	copies := p.copies(blob.WithKeepAll())
	var wg sync.WaitGroup
	made := make([][]blob.Copy, writers)
	for writer := range writers {
		wg.Go(func() {
			for i := range each {
				store, err := genie.NewStore(genie.WithoutFile())
				if err != nil {
					t.Error(err)
					return
				}
				store.Set("writer", fmt.Sprint(writer, i))
				c, err := copies.Copy(t.Context(), store)
				if err != nil {
					t.Error(err)
					return
				}
				made[writer] = append(made[writer], c)
			}
		})
	}
	wg.Wait()
	found, err := copies.List(t.Context())
	require.NoError(t, err)
	require.Len(t, found, writers*each)
	for writer, own := range made {
		for i, c := range own {
			require.True(t, slices.Contains(found, c))
			store := storeOf(t, nil)
			require.NoError(t, copies.RestoreCopy(t.Context(), store, c))
			require.Equal(t, map[string]string{"writer": fmt.Sprint(writer, i)}, store.Snapshot())
		}
		require.True(t, slices.IsSortedFunc(own, func(a, b blob.Copy) int { return strings.Compare(a.Name, b.Name) }))
	}
}

func schedule(t *testing.T, p *place) {
	store := storeOf(t, map[string]string{"a": "1"})
	s, err := p.copies().Start(store, time.Millisecond)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.Stats().Copies > 0 }, time.Minute, time.Millisecond)
	store.Set("a", "2")
	require.NoError(t, s.Stop(t.Context()))
	for err := range s.Errors() {
		require.NoError(t, err)
	}
	into := storeOf(t, nil)
	restored, err := p.copies().Restore(t.Context(), into)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "2"}, into.Snapshot())
	require.Equal(t, s.Stats().LastCopy, restored.Copy)
}

package genie_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log"
	"log/slog"
	"maps"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/windevkay/forge/genie"
)

// Sections of this file, which uses the package as a program does:
//
//	Examples    shown on the package's page, in the order of its methods
//	Helpers
//	The map     a store is a map, views, updates
//	Watch       steps, their ends, their costs
//	Deadlines   what has ended is seen nowhere
//	Counters    Increment, GetOrSet, CompareAndSwap
//	ReadFrom    everything or nothing; Tx.All, Tx.Clear, WithoutFile
//	The file    loads, backups, their errors
//	Mistakes    each gets a message that says how to do better
//	Costs       goroutines, garbage, allocations
//
// docs/pages_test.go compares README with the Examples and with the package.

// Examples. Each has a file of its own, in the working folder that TestMain makes.

func Example() {
	store, err := genie.NewStore()
	if err != nil {
		log.Fatal(err)
	}

	store.Set("username", "alice")
	store.Set("config.timeout", "30s")

	value, exists := store.Get("username")
	if exists {
		fmt.Printf("Username: %s\n", value)
	}

	store.StartAutoBackup(5 * time.Minute)
	defer store.StopAutoBackup()

	go func() {
		for err := range store.AutoBackupErrors() {
			log.Printf("Backup error: %v", err)
		}
	}()

	if err := store.Backup(); err != nil {
		log.Printf("Manual backup failed: %v", err)
	}
	// Output: Username: alice
}

func ExampleNewStore() {
	store, err := genie.NewStore(genie.WithPath("cities.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("city", "Oslo")
	if err := store.Close(); err != nil { // writes a last backup
		log.Fatal(err)
	}

	store, err = genie.NewStore(genie.WithPath("cities.json")) // the next start of the program
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Get("city"))
	// Output: Oslo true
}

// Another process owns the file.
func ExampleNewStore_fileInUse() {
	end := anotherProgram("shared.json")
	defer end()

	_, err := genie.NewStore(genie.WithPath("shared.json"), genie.WithLockTimeout(100*time.Millisecond))
	if errors.Is(err, genie.ErrInUse) {
		fmt.Println("another process owns the file")
	}
	// Output: another process owns the file
}

func ExampleWithReadOnly() {
	end := anotherProgram("shared.json") // owns the file and goes on
	defer end()

	store, err := genie.NewStore(genie.WithPath("shared.json"), genie.WithReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Get("city"))
	fmt.Println(errors.Is(store.Backup(), genie.ErrReadOnly))
	// Output:
	// Oslo true
	// true
}

func ExampleWithPath() {
	folder, err := os.MkdirTemp("", "cities")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := genie.NewStore(genie.WithPath(filepath.Join(folder, "cities.json")))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Len())
	// Output: 0
}

func ExampleCorruptError() {
	damaged := []byte("{\"city\": \"Oslo\",\n \"year\": 1624}\n")
	if err := os.WriteFile("damaged.json", damaged, 0o600); err != nil {
		log.Fatal(err)
	}
	_, err := genie.NewStore(genie.WithPath("damaged.json"))
	if corrupt, ok := errors.AsType[*genie.CorruptError](err); ok {
		fmt.Println(filepath.Base(corrupt.Path), "line", corrupt.Line)
		fmt.Println(corrupt.Err)
	}
	fmt.Println(errors.Is(err, genie.ErrCorrupt))
	// Output:
	// damaged.json line 2
	// the value of "year" is a number, not a string
	// true
}

func ExampleStore_Set() {
	store, err := genie.NewStore(genie.WithPath("set.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("port", "80")
	store.Set("port", "8080") // replaces the value
	fmt.Println(store.Get("port"))
	// Output: 8080 true
}

func ExampleStore_Get() {
	store, err := genie.NewStore(genie.WithPath("get.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("empty", "")
	for _, key := range []string{"empty", "missing"} {
		value, ok := store.Get(key)
		fmt.Printf("%s: %q %v\n", key, value, ok)
	}
	// Output:
	// empty: "" true
	// missing: "" false
}

func ExampleStore_Delete() {
	store, err := genie.NewStore(genie.WithPath("delete.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("port", "8080")
	store.Delete("port")
	store.Delete("missing") // does nothing
	fmt.Println(store.Len())
	// Output: 0
}

func ExampleStore_Len() {
	store, err := genie.NewStore(genie.WithPath("len.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("port", "80")
	store.Set("port", "8080")
	fmt.Println(store.Len())
	// Output: 1
}

func ExampleStore_Snapshot() {
	store, err := genie.NewStore(genie.WithPath("snapshot.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("a", "1")
	copied := store.Snapshot()
	store.Set("a", "2") // the copy does not change
	fmt.Println(copied)
	// Output: map[a:1]
}

func ExampleStore_All() {
	store, err := genie.NewStore(genie.WithPath("all.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("old:a", "1")
	store.Set("old:b", "2")
	store.Set("new:c", "3")
	for key := range store.All() {
		if strings.HasPrefix(key, "old:") {
			store.Delete(key) // the loop goes on over the map as it was
		}
	}
	fmt.Println(store.Snapshot())
	// Output: map[new:c:3]
}

func ExampleStore_View() {
	store, err := genie.NewStore(genie.WithPath("view.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("width", "3")
	store.Set("height", "4")
	err = store.View(func(v *genie.View) error {
		store.Set("height", "5") // this view does not see the write
		width, _ := v.Get("width")
		height, _ := v.Get("height")
		fmt.Println(width, "by", height)
		return nil
	})
	fmt.Println(err)
	// Output:
	// 3 by 4
	// <nil>
}

func ExampleStore_Update() {
	store, err := genie.NewStore(genie.WithPath("update.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("visits", "41")
	err = store.Update(func(tx *genie.Tx) error {
		visits, _ := tx.Get("visits")
		n, err := strconv.Atoi(visits)
		if err != nil {
			return err // and nothing has changed
		}
		tx.Set("visits", strconv.Itoa(n+1))
		return nil
	})
	fmt.Println(err)
	fmt.Println(store.Get("visits"))
	// Output:
	// <nil>
	// 42 true
}

func ExampleStore_Watch() {
	store, err := genie.NewStore(genie.WithPath("watch.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("port", "80")
	for view, changes := range store.Watch(context.Background()) {
		for c := range changes {
			fmt.Printf("%s: %q -> %q\n", c.Key, c.Old, c.New)
		}
		if port, _ := view.Get("port"); port == "8080" {
			break
		}
		store.Set("port", "8080") // as another goroutine would
	}
	// Output:
	// port: "" -> "80"
	// port: "80" -> "8080"
}

func ExampleStore_WriteTo() {
	store, err := genie.NewStore(genie.WithPath("writeto.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("greeting", "hello")
	n, err := store.WriteTo(os.Stdout)
	fmt.Println(n, err)
	// Output:
	// {"greeting":"hello"}
	// 21 <nil>
}

func ExampleStore_Backup() {
	store, err := genie.NewStore(genie.WithPath("backup.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("greeting", "hello")
	switch err := store.Backup(); {
	case errors.Is(err, syscall.ENOSPC):
		log.Print("the disk is full; the last backup is still there")
	case err != nil:
		log.Print(err)
	}
	contents, _ := os.ReadFile("backup.json")
	fmt.Printf("%s", contents)
	// Output: {"greeting":"hello"}
}

func ExampleStore_Sync() {
	store, err := genie.NewStore(genie.WithPath("orders.json"), genie.WithJournal())
	if err != nil {
		log.Fatal(err)
	}
	store.Set("order/17", "paid")
	if err := store.Sync(); err != nil { // callers at once share one fsync
		log.Fatal(err) // do not confirm the order
	}
	fmt.Println("order 17 survives a power cut")
	// Output: order 17 survives a power cut
}

func ExampleStore_StartAutoBackup() {
	store, err := genie.NewStore(genie.WithPath("auto.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.StartAutoBackup(time.Minute)
	store.Set("state", "saved every minute, and by Close")
	if err := store.Close(); err != nil { // stops the automatic backups, too
		log.Fatal(err)
	}
	contents, _ := os.ReadFile("auto.json")
	fmt.Printf("%s", contents)
	// Output: {"state":"saved every minute, and by Close"}
}

func ExampleStore_StopAutoBackup() {
	store, err := genie.NewStore(genie.WithPath("stop.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.StartAutoBackup(time.Minute)
	store.Set("state", "of a batch job")
	store.StopAutoBackup() // writes no last backup
	contents, _ := os.ReadFile("stop.json")
	fmt.Printf("%d bytes\n", len(contents))
	if err := store.Backup(); err != nil {
		log.Fatal(err)
	}
	contents, _ = os.ReadFile("stop.json")
	fmt.Printf("%s", contents)
	// Output:
	// 0 bytes
	// {"state":"of a batch job"}
}

func ExampleStore_AutoBackupErrors() {
	store, err := genie.NewStore(genie.WithPath("errors.json"))
	if err != nil {
		log.Fatal(err)
	}
	var background sync.WaitGroup
	background.Go(func() { // ends when the automatic backups stop
		for err := range store.AutoBackupErrors() {
			fmt.Println(err)
		}
	})
	store.StartAutoBackup(-time.Minute) // a mistake
	store.StopAutoBackup()
	background.Wait()
	// Output: genie: start automatic backups every -1m0s: interval must be positive
}

// A service closes its store when a signal asks the service to end.
func ExampleStore_Close_onSignal() {
	store, err := genie.NewStore(genie.WithPath("service.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.StartAutoBackup(time.Minute)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	serve(ctx, store) // returns when ctx is done

	if err := store.Close(); err != nil {
		log.Fatal(err) // the writes since the last backup are not on disk
	}
	contents, _ := os.ReadFile("service.json")
	fmt.Printf("%s", contents)
	// Output: {"state":"of the service"}
}

// A session ends an hour after its last request.
func ExampleStore_SetWithTTL() {
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	store.SetWithTTL("session/f3a9", "alice", time.Hour)

	user, ok := store.Get("session/f3a9")
	fmt.Println(user, ok)
	at, _ := store.ExpiresAt("session/f3a9")
	fmt.Println("ends in", time.Until(at).Round(time.Minute))
	// Output:
	// alice true
	// ends in 1h0m0s
}

func ExampleStore_ExpiresAt() {
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	store.SetWithTTL("token", "x", time.Minute)
	store.Set("token", "y") // without a deadline

	_, ends := store.ExpiresAt("token")
	fmt.Println(ends)
	// Output: false
}

// One of several workers gets a job.
func ExampleStore_GetOrSet() {
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	worker, found := store.GetOrSet("job/17", "worker 1")
	fmt.Println(worker, found)
	worker, found = store.GetOrSet("job/17", "worker 2")
	fmt.Println(worker, found)
	// Output:
	// worker 1 false
	// worker 1 true
}

func ExampleStore_CompareAndSwap() {
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	store.Set("order/17", "paid")
	fmt.Println(store.CompareAndSwap("order/17", "paid", "sent"))
	fmt.Println(store.CompareAndSwap("order/17", "paid", "refunded"))
	// Output:
	// true
	// false
}

func ExampleStore_Increment() {
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	store.Set("visits", "41")
	visits, err := store.Increment("visits", 1)
	fmt.Println(visits, err)
	_, err = store.Increment("visits", math.MaxInt64)
	fmt.Println(errors.Is(err, genie.ErrOverflow))
	// Output:
	// 42 <nil>
	// true
}

// At most three requests a minute for each client. The first request of a minute sets the
// deadline, in the same step as the count.
func ExampleTx_SetWithTTL() {
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	allow := func(client string) (allowed bool) {
		_ = store.Update(func(tx *genie.Tx) error {
			switch requests, _ := tx.Get(client); requests {
			case "":
				tx.SetWithTTL(client, "1", time.Minute)
			case "1", "2":
				n, _ := strconv.Atoi(requests)
				at, _ := tx.ExpiresAt(client)
				tx.SetWithTTL(client, strconv.Itoa(n+1), time.Until(at))
			default:
				return nil
			}
			allowed = true
			return nil
		})
		return allowed
	}
	for range 4 {
		fmt.Println(allow("client/192.0.2.1"))
	}
	// Output:
	// true
	// true
	// true
	// false
}

// A copy is read back as a whole, or not at all.
func ExampleStore_ReadFrom() {
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.ReadFrom(strings.NewReader(`{"greeting":"hello"}`)); err != nil {
		log.Fatal(err)
	}
	_, err = store.ReadFrom(strings.NewReader(`{"greeting":"good`))
	fmt.Println(err)
	greeting, _ := store.Get("greeting")
	fmt.Println(greeting)
	// Output:
	// genie: read: corrupt backup: line 1, byte 17: the value of "greeting": unexpected EOF
	// hello
}

func ExampleStore_Stats() {
	store, err := genie.NewStore(genie.WithPath("stats.json"))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("greeting", "hello")
	if err := store.Backup(); err != nil {
		log.Fatal(err)
	}
	store.Set("greeting", "good morning")
	stats := store.Stats()
	fmt.Println(stats.Entries, "entry,", stats.Unsaved, "write to save")
	fmt.Println(stats.Saves, "save of", stats.LastSave.Bytes, "bytes,", stats.FailedSaves, "failed")
	// Output:
	// 1 entry, 1 write to save
	// 1 save of 21 bytes, 0 failed
}

func ExampleWithoutFile() {
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	store.Set("greeting", "hello")
	fmt.Println(errors.Is(store.Backup(), genie.ErrNoFile), store.Close())
	// Output: true <nil>
}

func ExampleWithLogger() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "path" || a.Key == "duration" {
				return slog.Attr{} // another one in each run
			}
			return a
		},
	}))
	store, err := genie.NewStore(genie.WithPath("logged.json"), genie.WithLogger(logger))
	if err != nil {
		log.Fatal(err)
	}
	store.Set("greeting", "hello")
	if err := store.Backup(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=INFO msg="genie: load" source="" entries=0 bytes=0
	// level=DEBUG msg="genie: save" kind=backup entries=1 bytes=21
}

// A counter that is kept as JSON: values are strings, whatever is in them.
func ExampleTx_All() {
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	store.Set("user/1", `{"name":"ann","logins":1}`)
	store.Set("user/2", `{"name":"bob","logins":5}`)
	store.Set("theme", "dark")
	type user struct {
		Name   string `json:"name"`
		Logins int    `json:"logins"`
	}
	err = store.Update(func(tx *genie.Tx) error {
		for key, value := range tx.All() {
			if !strings.HasPrefix(key, "user/") {
				continue
			}
			var u user
			if err := json.Unmarshal([]byte(value), &u); err != nil {
				return err
			}
			u.Logins = 0
			text, err := json.Marshal(u)
			if err != nil {
				return err
			}
			tx.Set(key, string(text))
		}
		return nil
	})
	value, _ := store.Get("user/2")
	fmt.Println(value, err)
	// Output: {"name":"bob","logins":0} <nil>
}

func ExampleStore_Close() {
	store, err := genie.NewStore(genie.WithPath("close.json"))
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			log.Print(err) // the writes since the last backup are not on disk
		}
	}()
	store.Set("greeting", "hello")
	// Output:
}

// Helpers.

// serve is a service that another process ends.
func serve(ctx context.Context, store *genie.Store) {
	store.Set("state", "of the service")
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGTERM)
	}
	if err != nil {
		log.Print(err) // Windows has no SIGTERM
		return
	}
	<-ctx.Done()
}

// anotherProgram starts a process that owns the file at path, with one entry, until
// end is called.
func anotherProgram(path string) (end func()) {
	program := exec.Command(os.Args[0], path)
	program.Env = append(os.Environ(), genie.OwnerVariable+"=1")
	program.Stderr = os.Stderr
	in, err := program.StdinPipe()
	if err != nil {
		log.Fatal(err)
	}
	out, err := program.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := program.Start(); err != nil {
		log.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, new(string)); err != nil { // until it owns the file
		log.Fatal(err)
	}
	return func() {
		if err := errors.Join(in.Close(), program.Wait()); err != nil {
			log.Fatal(err)
		}
	}
}

// newStore returns an empty store on a file of its own.
func newStore(t testing.TB) *genie.Store {
	t.Helper()
	return openStore(t, filepath.Join(t.TempDir(), "store.json"))
}

func openStore(t testing.TB, path string) *genie.Store {
	t.Helper()
	store, err := genie.NewStore(genie.WithPath(path))
	require.NoError(t, err)
	return store
}

// reloaded backs store up and returns what a backup made of it holds.
func reloaded(t testing.TB, store *genie.Store) map[string]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.json")
	file, err := os.Create(path)
	require.NoError(t, err)
	_, err = store.WriteTo(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return openStore(t, path).Snapshot()
}

// contents returns the names and texts of the files in dir, without the files of
// locks, which stay.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".lock" {
			continue
		}
		found[e.Name()] = e.Type().String()
		if e.Type().IsRegular() {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			require.NoError(t, err)
			found[e.Name()] = string(text)
		}
	}
	return found
}

func makePipe(t *testing.T, path string) {
	if err := exec.Command("mkfifo", path).Run(); err != nil {
		t.Skip("no named pipes here: ", err)
	}
}

func makeFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	return path
}

var errFull = errors.New("full")

// limited is a writer with room for so many bytes.
type limited struct{ room int }

func (l *limited) Write(p []byte) (int, error) {
	n := min(l.room, len(p))
	if l.room -= n; n < len(p) {
		return n, errFull
	}
	return n, nil
}

// raceEnabled reports whether the race detector is on.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// The map.

// A store is a map: whatever is done to it, it holds what a map would.
func TestStoreIsAMap(t *testing.T) {
	store := newStore(t)
	model := map[string]string{}
	rapid.Check(t, func(rt *rapid.T) {
		key := rapid.SampledFrom([]string{"", "a", "b", "c", "\xff", "\x00b64:", "ключ"})
		value := rapid.StringN(0, 8, -1)
		rt.Repeat(map[string]func(*rapid.T){
			"set": func(rt *rapid.T) {
				k, v := key.Draw(rt, "key"), value.Draw(rt, "value")
				store.Set(k, v)
				model[k] = v
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				store.Delete(k)
				delete(model, k)
			},
			"update": func(rt *rapid.T) {
				k, v := key.Draw(rt, "key"), value.Draw(rt, "value")
				gone := key.Draw(rt, "gone")
				keep := rapid.Bool().Draw(rt, "keep")
				changed := maps.Clone(model)
				changed[k] = v
				delete(changed, gone)
				err := store.Update(func(tx *genie.Tx) error {
					tx.Set(k, v)
					tx.Delete(gone)
					got, ok := tx.Get(k)
					want, has := changed[k]
					require.Equal(rt, has, ok)
					require.Equal(rt, want, got)
					require.Equal(rt, len(changed), tx.Len())
					if !keep {
						return io.EOF
					}
					return nil
				})
				if keep {
					model = changed
				} else {
					require.ErrorIs(rt, err, io.EOF)
				}
			},
			"": func(rt *rapid.T) {
				require.Equal(rt, model, store.Snapshot())
				require.Equal(rt, model, maps.Collect(store.All()))
				require.Equal(rt, len(model), store.Len())
				for _, k := range []string{"", "a", "\xff", "missing"} {
					got, ok := store.Get(k)
					want, has := model[k]
					require.Equal(rt, has, ok)
					require.Equal(rt, want, got)
				}
			},
		})
	})
	require.Equal(t, model, reloaded(t, store))
}

// Any bytes come back, through the file too.
func FuzzStore(f *testing.F) {
	f.Add("key", "value", "key", "other")
	f.Add("\xff", "\xfe", "\xef\xbf\xbd", "\u2028")
	f.Add("\x00b64:", "\x00b64:/w==", "", "\x00")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		store := newStore(t)
		store.Set(k1, v1)
		store.Set(k2, v2)
		want := map[string]string{k1: v1}
		want[k2] = v2
		require.Equal(t, want, store.Snapshot())
		require.Equal(t, want, reloaded(t, store))
	})
}

func TestViewIsOneInstant(t *testing.T) {
	store := newStore(t)
	store.Set("a", "1")
	store.Set("gone", "soon")
	var kept *genie.View
	err := store.View(func(v *genie.View) error {
		kept = v
		store.Set("a", "2")
		store.Set("b", "2")
		store.Delete("gone")
		value, ok := v.Get("a")
		require.True(t, ok)
		require.Equal(t, "1", value)
		require.Equal(t, 2, v.Len())
		require.Equal(t, map[string]string{"a": "1", "gone": "soon"}, maps.Collect(v.All()))
		for range v.All() {
			break
		}
		return errFull
	})
	require.ErrorIs(t, err, errFull)
	require.Equal(t, map[string]string{"a": "2", "b": "2"}, store.Snapshot())

	const message = "genie: View used after its function has returned"
	require.PanicsWithValue(t, message, func() { kept.Get("a") })
	require.PanicsWithValue(t, message, func() { kept.Len() })
	require.PanicsWithValue(t, message, func() { _ = maps.Collect(kept.All()) })
	require.PanicsWithValue(t, "mine", func() {
		_ = store.View(func(v *genie.View) error { kept = v; panic("mine") })
	})
	require.PanicsWithValue(t, message, func() { kept.Len() }, "the View ends with a panic, too")
}

func TestAllIsScopedByItsLoop(t *testing.T) {
	store := newStore(t)
	for i := range 100 {
		store.Set(strconv.Itoa(i), "old")
	}
	loops := 0
	all := store.All()
	for key, value := range all {
		require.Equal(t, "old", value, "a loop does not see its own writes")
		store.Set(key, "new")
		store.Set(key+"'", "new")
		got, _ := store.Get(key)
		require.Equal(t, "new", got)
		if loops++; loops == 50 {
			require.Len(t, maps.Collect(store.All()), 150, "another loop inside")
		}
	}
	require.Equal(t, 100, loops)
	require.Len(t, maps.Collect(all), 200, "the next loop sees the map as it is then")

	for range store.All() {
		break
	}
	require.PanicsWithValue(t, "mine", func() {
		for range store.All() {
			panic("mine")
		}
	})
	store.Set("after", "x")
	require.Equal(t, 201, store.Len())
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	store := newStore(t)
	store.Set("a", "1")
	store.Set("gone", "soon")
	before := store.Snapshot()
	write := func(tx *genie.Tx) {
		tx.Set("a", "2")
		tx.Set("a", "3")
		tx.Set("b", "1")
		tx.Delete("gone")
		tx.Delete("missing")
		require.Equal(t, 2, tx.Len())
	}
	require.ErrorIs(t, store.Update(func(tx *genie.Tx) error { write(tx); return errFull }), errFull)
	require.Equal(t, before, store.Snapshot(), "after an error")

	require.PanicsWithValue(t, "mine", func() {
		_ = store.Update(func(tx *genie.Tx) error { write(tx); panic("mine") })
	})
	require.Equal(t, before, store.Snapshot(), "after a panic")

	var wg sync.WaitGroup
	returned := false
	wg.Go(func() {
		_ = store.Update(func(tx *genie.Tx) error { write(tx); runtime.Goexit(); return nil })
		returned = true
	})
	wg.Wait()
	require.False(t, returned, "Goexit ends the caller")
	require.Equal(t, before, store.Snapshot(), "after Goexit")

	require.NoError(t, store.Update(func(tx *genie.Tx) error { write(tx); return nil }))
	require.Equal(t, map[string]string{"a": "3", "b": "1"}, store.Snapshot())
}

func TestUpdatePanicShowsItsStack(t *testing.T) {
	store := newStore(t)
	defer func() {
		require.Equal(t, "mine", recover())
		require.Contains(t, string(debug.Stack()), "panicsDeepInside")
		store.Set("still", "works")
		require.Equal(t, 1, store.Len())
	}()
	_ = store.Update(func(*genie.Tx) error { return panicsDeepInside() })
}

//go:noinline
func panicsDeepInside() error { panic("mine") }

func TestTxEndsWithItsFunction(t *testing.T) {
	store := newStore(t)
	var kept *genie.Tx
	require.NoError(t, store.Update(func(tx *genie.Tx) error { kept = tx; return nil }))
	for name, use := range map[string]func(){
		"Get":    func() { kept.Get("k") },
		"Set":    func() { kept.Set("k", "v") },
		"Delete": func() { kept.Delete("k") },
		"Len":    func() { kept.Len() },
	} {
		require.PanicsWithValue(t, "genie: Tx used after its function has returned", use, name)
	}
	require.Zero(t, store.Len())
}

// A panic passes through an Update, and a function that its caller has deferred
// uses the store while another Update runs. That is not a call from inside.
func TestDeferredAfterAPanicInUpdate(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("mine") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newStore(t)
				done := make(chan string)
				go func() {
					defer func() { _ = recover() }()
					defer func() {
						go func() {
							_ = store.Update(func(tx *genie.Tx) error {
								time.Sleep(time.Second)
								tx.Set("k", "waited for")
								return nil
							})
						}()
						synctest.Wait()
						value, _ := store.Get("k")
						done <- value
					}()
					_ = store.Update(func(*genie.Tx) error { end(); return nil })
				}()
				require.Equal(t, "waited for", <-done)
			})
		})
	}
}

// Other goroutines wait while an Update runs; they are not taken for its own calls.
func TestOthersWaitForAnUpdate(t *testing.T) {
	store := newStore(t)
	got := make(chan string, 8)
	started := make(chan struct{})
	require.NoError(t, store.Update(func(tx *genie.Tx) error {
		for range cap(got) {
			go func() {
				started <- struct{}{}
				value, _ := store.Get("k")
				got <- value
			}()
			<-started
		}
		tx.Set("k", "done")
		return nil
	}))
	for range cap(got) {
		require.Equal(t, "done", <-got)
	}
}

// Every method, at once, from many goroutines; the race detector watches.
func TestAllMethodsAtOnce(t *testing.T) {
	store := newStore(t)
	ways := []func(i int){
		func(i int) { store.Set(strconv.Itoa(i%50), strconv.Itoa(i)) },
		func(i int) { store.Get(strconv.Itoa(i % 50)) },
		func(i int) { store.Delete(strconv.Itoa(i % 50)) },
		func(int) { store.Len() },
		func(int) { store.Snapshot() },
		func(int) {
			for range store.All() {
				break
			}
		},
		func(i int) {
			_ = store.View(func(v *genie.View) error { v.Get(strconv.Itoa(i % 50)); return nil })
		},
		func(i int) {
			_ = store.Update(func(tx *genie.Tx) error { tx.Set(strconv.Itoa(i%50), "tx"); return nil })
		},
		func(int) { _, _ = store.WriteTo(io.Discard) },
		func(i int) {
			if i%20 == 0 {
				_ = store.Backup()
			}
		},
		func(i int) {
			if i%10 == 0 {
				store.StartAutoBackup(time.Millisecond)
			}
		},
		func(i int) {
			if i%25 == 0 {
				store.StopAutoBackup()
			}
		},
		func(i int) {
			if i%50 == 0 {
				_ = store.Close()
			}
		},
		func(int) { store.AutoBackupErrors() },
	}
	var wg sync.WaitGroup
	for _, way := range ways {
		for range 2 {
			wg.Go(func() {
				for i := range 300 {
					way(i)
				}
			})
		}
	}
	genie.WaitSoon(t, &wg)
	require.NoError(t, store.Close())
}

// Watch.

// A mirror is a plain map that follows a store by its changes alone.
type mirror map[string]string

// follow applies a step and requires that the mirror is equal to its view then.
func (m mirror) follow(t require.TestingT, view *genie.View, changes iter.Seq[genie.Change]) {
	seen := map[string]bool{}
	for c := range changes {
		old, existed := m[c.Key]
		require.Equal(t, []any{old, existed}, []any{c.Old, c.Existed}, "what the watcher last saw")
		require.False(t, seen[c.Key], "each key once")
		require.True(t, c.Existed || c.Exists)
		seen[c.Key] = true
		if c.Exists {
			m[c.Key] = c.New
		} else {
			delete(m, c.Key)
		}
	}
	require.Equal(t, view.Len(), len(m))
	for key, value := range view.All() {
		require.Equal(t, value, m[key])
	}
}

// Writers change pairs of keys in Updates, and single keys, while watchers follow. No
// step has half an Update, and every watcher ends with what the store has.
func TestWatchersFollowEveryWrite(t *testing.T) {
	store := newStore(t)
	store.Set("before", "the first step has this")
	var writers, watchers sync.WaitGroup
	for range 4 {
		watchers.Go(func() {
			m := mirror{}
			for view, changes := range store.Watch(t.Context()) {
				m.follow(t, view, changes)
				for i := range 20 {
					left, _ := view.Get(fmt.Sprint("left", i))
					right, _ := view.Get(fmt.Sprint("right", i))
					if !assert.Equal(t, left, right, "half an Update") {
						return
					}
				}
				if _, ended := view.Get("end"); ended {
					assert.Equal(t, store.Snapshot(), map[string]string(m))
					return
				}
			}
		})
	}
	for w := range 4 {
		writers.Go(func() {
			for n := range 2_000 {
				i := (n*7 + w) % 20
				if n%3 == 0 {
					store.Delete(fmt.Sprint("single", i))
				} else {
					store.Set(fmt.Sprint("single", i), fmt.Sprint(w, n))
				}
				_ = store.Update(func(tx *genie.Tx) error {
					tx.Set(fmt.Sprint("left", i), fmt.Sprint(w, n))
					tx.Set(fmt.Sprint("right", i), fmt.Sprint(w, n))
					return nil
				})
			}
		})
	}
	writers.Wait()
	store.Set("end", "")
	watchers.Wait()
}

// A step that begins after a Set has returned has that write or a newer one.
func TestWatchIsLinearizable(t *testing.T) {
	store := newStore(t)
	var returned atomic.Int64
	var writer sync.WaitGroup
	const last = 20_000
	writer.Go(func() {
		for n := int64(1); n <= last; n++ {
			store.Set("n", strconv.FormatInt(n, 10))
			returned.Store(n)
		}
	})
	defer writer.Wait()
	least := int64(0) // returned when the last body ended
	for view := range store.Watch(t.Context()) {
		text, _ := view.Get("n")
		n, _ := strconv.ParseInt(text, 10, 64)
		require.GreaterOrEqual(t, n, least)
		if n == last {
			return
		}
		least = returned.Load()
	}
}

// steps has a watcher note the changes of each step, as text in brackets.
func steps(ctx context.Context, store *genie.Store) <-chan string {
	noted := make(chan string, 100)
	go func() {
		defer close(noted)
		for _, changes := range store.Watch(ctx) {
			var all []string
			for c := range changes {
				all = append(all, fmt.Sprintf("%s:%s>%s", c.Key, c.Old, c.New))
			}
			slices.Sort(all)
			noted <- fmt.Sprint(all)
		}
	}()
	return noted
}

func TestStepsOfAWatch(t *testing.T) {
	for name, c := range map[string]struct {
		writes func(store *genie.Store)
		step   string // "" if none comes
	}{
		"a new key":                     {func(s *genie.Store) { s.Set("b", "2") }, "b:>2"},
		"a new value":                   {func(s *genie.Store) { s.Set("a", "2") }, "a:1>2"},
		"a removal":                     {func(s *genie.Store) { s.Delete("a") }, "a:1>"},
		"the same value":                {func(s *genie.Store) { s.Set("a", "1") }, ""},
		"a missing key removed":         {func(s *genie.Store) { s.Delete("b") }, ""},
		"an Update":                     {func(s *genie.Store) { update(s, nil, "a", "b") }, "a:1>u b:>u"},
		"an Update that fails":          {func(s *genie.Store) { update(s, io.EOF, "a", "b") }, ""},
		"an Update that writes nothing": {func(s *genie.Store) { update(s, nil) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newStore(t)
				store.Set("a", "1")
				ctx, cancel := context.WithCancel(t.Context())
				noted := steps(ctx, store)
				require.Equal(t, "[a:>1]", <-noted)
				time.Sleep(time.Second)
				c.writes(store)
				time.Sleep(time.Second)
				if c.step != "" {
					require.Equal(t, "["+c.step+"]", <-noted)
				}
				cancel()
				require.Empty(t, <-noted, "another step")
			})
		})
	}
}

// update sets the keys to "u" and returns err from its function.
func update(store *genie.Store, err error, keys ...string) {
	_ = store.Update(func(tx *genie.Tx) error {
		for _, key := range keys {
			tx.Set(key, "u")
		}
		return err
	})
}

// A key that has come and gone between two steps is no change, and neither is a step
// that has no other.
func TestAWatcherThatIsAwaySeesTheSum(t *testing.T) {
	store := newStore(t)
	store.Set("a", "1")
	n := 0
	for _, changes := range store.Watch(t.Context()) {
		switch n++; n {
		case 1:
			store.Set("gone", "x")
			for i := range 10 {
				store.Set("a", strconv.Itoa(i))
			}
			store.Delete("gone")
		case 2:
			require.Equal(t, []genie.Change{{"a", "1", "9", true, true}}, slices.Collect(changes))
			return
		}
	}
}

func TestTheFirstStepOfAnEmptyStore(t *testing.T) {
	for view, changes := range newStore(t).Watch(t.Context()) {
		require.Zero(t, view.Len())
		require.Empty(t, slices.Collect(changes))
		return
	}
}

func TestWatchEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, store *genie.Store){
		"before it begins": func(t *testing.T, store *genie.Store) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for range store.Watch(ctx) {
				require.Fail(t, "a step")
			}
		},
		"in the body": func(t *testing.T, store *genie.Store) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for range store.Watch(ctx) {
				store.Set("a", "newer")
				cancel()
			}
		},
		"while it waits": func(t *testing.T, store *genie.Store) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			for range store.Watch(ctx) {
			}
			require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		},
		"while it rests": func(t *testing.T, store *genie.Store) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			for range store.Watch(ctx) {
				if n++; n == 2 {
					time.AfterFunc(time.Millisecond, cancel)
				}
				for range 100_000 {
					store.Set("a", fmt.Sprint("written in step ", n))
				}
			}
			require.Equal(t, 2, n)
		},
		"by break": func(t *testing.T, store *genie.Store) {
			for range store.Watch(t.Context()) {
				break
			}
		},
		"by a panic": func(t *testing.T, store *genie.Store) {
			require.PanicsWithValue(t, "in the body", func() {
				for range store.Watch(t.Context()) {
					panic("in the body")
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // ends only if no goroutine is left
				store := newStore(t)
				store.Set("a", "1")
				end(t, store)
				require.Equal(t, 1, store.Len()) // the store goes on
			})
		})
	}
}

func TestViewAndChangesEndWithTheirStep(t *testing.T) {
	store := newStore(t)
	store.Set("a", "1")
	var view *genie.View
	var changes iter.Seq[genie.Change]
	for view, changes = range store.Watch(t.Context()) {
		require.Len(t, slices.Collect(changes), 1)
		require.Len(t, slices.Collect(changes), 1, "again")
		break
	}
	require.Panics(t, func() { view.Len() })
	require.Panics(t, func() { _ = slices.Collect(changes) })

	store.Set("b", "2")
	for _, changes := range store.Watch(t.Context()) {
		next, stop := iter.Pull(changes)
		defer stop()
		_, ok := next()
		require.True(t, ok)
		defer func() { require.Panics(t, func() { next() }, "a loop that outlives its step") }()
		break
	}
}

// A watcher that waits gets a write at once. After a step over many writes it rests, so
// that the next view does not come too soon for the writers.
func TestAWatcherRestsAfterManyWrites(t *testing.T) {
	for name, c := range map[string]struct {
		writes int
		rest   time.Duration
	}{
		"one":     {1, 5 * time.Microsecond},
		"1 000":   {1_000, 5 * time.Millisecond},
		"200 000": {200_000, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newStore(t)
				step, began := 0, time.Time{}
				for range store.Watch(t.Context()) {
					switch step++; step {
					case 1:
						time.Sleep(time.Second) // the writes find a watcher that has rested
						for n := range c.writes {
							store.Set("n", strconv.Itoa(n))
						}
						store.Len() // waits for the writes
						began = time.Now()
					case 2:
						require.Zero(t, time.Since(began), "the watcher waits")
						store.Set("n", "another")
					case 3:
						require.Equal(t, c.rest, time.Since(began))
						return
					}
				}
			})
		})
	}
}

// A thousand waits that are cancelled leave nothing: the bubble would not end.
func TestAThousandCancelledWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		var watchers sync.WaitGroup
		for range 1_000 {
			watchers.Go(func() {
				for range store.Watch(ctx) {
				}
			})
		}
		synctest.Wait()
		cancel()
		watchers.Wait()
	})
}

func TestTenThousandWatchers(t *testing.T) {
	store := newStore(t)
	var began, watchers sync.WaitGroup
	began.Add(10_000)
	for range 10_000 {
		watchers.Go(func() {
			first := true
			for view := range store.Watch(t.Context()) {
				if first {
					began.Done()
					first = false
				}
				if last, _ := view.Get("n"); last == "9" {
					return
				}
			}
		})
	}
	began.Wait()
	for n := range 10 {
		store.Set("n", strconv.Itoa(n))
	}
	watchers.Wait()
}

// A watcher that is stalled in its body holds the views of its last two steps. However
// often every entry is written meanwhile, memory grows by no more than the map's structure
// and the strings that were replaced, once.
func TestAStalledWatcherHoldsLittle(t *testing.T) {
	const entries = 20_000
	store := newStore(t)
	write := func(round int) {
		for i := range entries {
			store.Set(fmt.Sprint("key", i), fmt.Sprint("value", round, "-", i))
		}
		store.Len() // waits for the writes
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	empty := heap()
	write(0)
	filled := heap()
	for range store.Watch(t.Context()) {
		for round := range 20 {
			write(1 + round)
		}
		require.Less(t, heap()-filled, (filled-empty)*3/2, "of %d", filled-empty)
		break
	}
}

// Deadlines.

// readers are all ways to look for a key.
var readers = map[string]func(t *testing.T, store *genie.Store, key string) bool{
	"Get":       func(_ *testing.T, s *genie.Store, key string) bool { _, ok := s.Get(key); return ok },
	"Len":       func(_ *testing.T, s *genie.Store, _ string) bool { return s.Len() > 0 },
	"ExpiresAt": func(_ *testing.T, s *genie.Store, key string) bool { _, ok := s.ExpiresAt(key); return ok },
	"Snapshot":  func(_ *testing.T, s *genie.Store, key string) bool { _, ok := s.Snapshot()[key]; return ok },
	"All":       func(_ *testing.T, s *genie.Store, key string) bool { return has(s.All(), key) },
	"Stats":     func(_ *testing.T, s *genie.Store, _ string) bool { return s.Stats().Entries > 0 },
	"WriteTo": func(t *testing.T, s *genie.Store, key string) bool {
		var text strings.Builder
		_, err := s.WriteTo(&text)
		require.NoError(t, err)
		return strings.Contains(text.String(), key)
	},
	"View": func(t *testing.T, s *genie.Store, key string) (found bool) {
		_ = s.View(func(v *genie.View) error {
			_, found = v.Get(key)
			_, ends := v.ExpiresAt(key)
			require.Equal(t, found, ends)
			require.Equal(t, found, v.Len() == 1)
			require.Equal(t, found, has(v.All(), key))
			return nil
		})
		return found
	},
	"Update": func(t *testing.T, s *genie.Store, key string) (found bool) {
		_ = s.Update(func(tx *genie.Tx) error {
			_, found = tx.Get(key)
			_, ends := tx.ExpiresAt(key)
			require.Equal(t, found, ends)
			require.Equal(t, found, tx.Len() == 1)
			require.Equal(t, found, has(tx.All(), key))
			return nil
		})
		return found
	},
	"Watch": func(t *testing.T, s *genie.Store, key string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		for view := range s.Watch(ctx) {
			return has(view.All(), key)
		}
		return false
	},
	"GetOrSet": func(_ *testing.T, s *genie.Store, key string) bool {
		_, found := s.GetOrSet(key, "other")
		return found
	},
	"CompareAndSwap": func(_ *testing.T, s *genie.Store, key string) bool { return s.CompareAndSwap(key, "7", "8") },
	"Increment":      func(_ *testing.T, s *genie.Store, key string) bool { n, _ := s.Increment(key, 1); return n == 8 },
	"a file":         func(t *testing.T, s *genie.Store, key string) bool { _, ok := reloaded(t, s)[key]; return ok },
}

func has(entries iter.Seq2[string, string], key string) bool {
	for k := range entries {
		if k == key {
			return true
		}
	}
	return false
}

// An entry is seen until its deadline, and not from then on, whether it was removed
// already or not.
func TestEntriesEnd(t *testing.T) {
	for name, found := range readers {
		for removed, wait := range map[string]time.Duration{"at the deadline": 0, "after its removal": time.Second} {
			t.Run(name+" "+removed, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := newStore(t)
					store.SetWithTTL("key", "7", time.Hour)
					time.Sleep(time.Hour - 1)
					if name != "GetOrSet" && name != "CompareAndSwap" && name != "Increment" {
						require.True(t, found(t, store, "key"))
					}
					time.Sleep(1 + wait)
					require.False(t, found(t, store, "key"))
				})
			})
		}
	}
	for _, name := range []string{"GetOrSet", "CompareAndSwap", "Increment"} {
		t.Run(name+" before the deadline", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newStore(t)
				store.SetWithTTL("key", "7", time.Hour)
				time.Sleep(time.Hour - 1)
				require.True(t, readers[name](t, store, "key"))
			})
		})
	}
}

// A view has what was alive when it was taken, for as long as it is used.
func TestAViewKeepsWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		store.SetWithTTL("key", "value", time.Hour)
		store.Set("other", "value")
		_ = store.View(func(v *genie.View) error {
			time.Sleep(2 * time.Hour)
			require.Equal(t, 1, store.Len())
			require.Equal(t, 2, v.Len())
			require.Len(t, maps.Collect(v.All()), 2)
			at, ok := v.ExpiresAt("key")
			require.True(t, ok)
			require.Equal(t, time.Hour, time.Since(at))
			return nil
		})
	})
}

// What the writes make of a deadline.
func TestDeadlinesAfterWrites(t *testing.T) {
	const old, again = time.Hour, time.Minute
	for name, c := range map[string]struct {
		write func(store *genie.Store)
		value string
		ttl   time.Duration // 0: no deadline, or no entry
	}{
		"nothing":              {func(*genie.Store) {}, "7", old},
		"Set":                  {func(s *genie.Store) { s.Set("key", "8") }, "8", 0},
		"SetWithTTL":           {func(s *genie.Store) { s.SetWithTTL("key", "8", again) }, "8", again},
		"Delete":               {func(s *genie.Store) { s.Delete("key") }, "", 0},
		"a ttl of 0":           {func(s *genie.Store) { s.SetWithTTL("key", "8", 0) }, "", 0},
		"a ttl below 0":        {func(s *genie.Store) { s.SetWithTTL("key", "8", -1) }, "", 0},
		"GetOrSet":             {func(s *genie.Store) { s.GetOrSet("key", "8") }, "7", old},
		"CompareAndSwap":       {func(s *genie.Store) { s.CompareAndSwap("key", "7", "8") }, "8", 0},
		"a swap that is none":  {func(s *genie.Store) { s.CompareAndSwap("key", "8", "9") }, "7", old},
		"Increment":            {func(s *genie.Store) { _, _ = s.Increment("key", 1) }, "8", old},
		"an Increment that is": {func(s *genie.Store) { _, _ = s.Increment("key", math.MaxInt64) }, "7", old},
		"Tx.Set":               {inUpdate(nil, func(tx *genie.Tx) { tx.Set("key", "8") }), "8", 0},
		"Tx.SetWithTTL":        {inUpdate(nil, func(tx *genie.Tx) { tx.SetWithTTL("key", "8", again) }), "8", again},
		"Tx, a ttl of 0": {inUpdate(nil, func(tx *genie.Tx) {
			tx.SetWithTTL("key", "8", 0)
			if _, found := tx.Get("key"); found {
				panic("not deleted")
			}
		}), "", 0},
		"an Update that fails": {inUpdate(io.EOF, func(tx *genie.Tx) {
			tx.Set("key", "8")
			tx.SetWithTTL("key", "9", again)
			tx.Clear()
			tx.SetWithTTL("key", "10", again)
		}), "7", old},
		"Clear": {inUpdate(nil, func(tx *genie.Tx) { tx.Clear() }), "", 0},
		"ReadFrom": {func(s *genie.Store) {
			_, _ = s.ReadFrom(strings.NewReader(`{"key":{"value":"8","expires":"2000-01-01T00:01:00Z"}}`))
		}, "8", again},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // whose clock begins with the year 2000
				store := newStore(t)
				store.SetWithTTL("key", "7", old)
				c.write(store)
				value, _ := store.Get("key")
				require.Equal(t, c.value, value)
				at, ok := store.ExpiresAt("key")
				require.Equal(t, c.ttl != 0, ok)
				if ok {
					require.Equal(t, c.ttl, time.Until(at))
					time.Sleep(c.ttl)
					_, ok = store.Get("key")
					require.False(t, ok)
				}
			})
		})
	}
}

// inUpdate returns a write that is an Update.
func inUpdate(err error, write func(tx *genie.Tx)) func(*genie.Store) {
	return func(store *genie.Store) {
		_ = store.Update(func(tx *genie.Tx) error { write(tx); return err })
	}
}

// Deadlines beyond the year 2262 count as the last instant.
func TestTheLastDeadline(t *testing.T) {
	store := newStore(t)
	store.SetWithTTL("key", "value", math.MaxInt64)
	at, ok := store.ExpiresAt("key")
	require.True(t, ok)
	require.Equal(t, int64(math.MaxInt64), at.UnixNano())
	require.Equal(t, map[string]string{"key": "value"}, reloaded(t, store))
}

// Deadlines are in the file, of either kind, and go on while no program runs.
func TestDeadlinesSurviveARestart(t *testing.T) {
	for name, options := range map[string][]genie.Option{"plain": nil, "journal": {genie.WithJournal()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := append(options, genie.WithPath(filepath.Join(t.TempDir(), "store.json")))
				store, err := genie.NewStore(options...)
				require.NoError(t, err)
				store.Set("for ever", "")
				store.SetWithTTL("hour", "1", time.Hour)
				store.SetWithTTL("day", "2", 24*time.Hour)
				require.NoError(t, store.Sync())
				store.SetWithTTL("day", "2", 48*time.Hour) // nothing else has changed
				require.NoError(t, store.Sync())
				store.Set("late", "lost") // after which the process is killed

				time.Sleep(time.Hour)
				reader, err := genie.NewStore(append(options, genie.WithReadOnly())...)
				require.NoError(t, err)
				require.Equal(t, map[string]string{"for ever": "", "day": "2"}, reader.Snapshot())
				at, _ := reader.ExpiresAt("day")
				require.Equal(t, 47*time.Hour, time.Until(at))
				time.Sleep(47 * time.Hour)
				require.Equal(t, 1, reader.Len())
			})
		})
	}
}

// A start finds only entries that have ended: the store begins empty.
func TestAFileOfEntriesThatHaveEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"key":{"value":"v","expires":"2001-02-03T04:05:06Z"}}`), 0o600))
	store := openStore(t, path)
	require.Zero(t, store.Len())
	require.Zero(t, store.Stats().Loaded)
	genie.Soon(t, "the removal", func() bool { return store.Stats().Expiring == 0 })
	require.NoError(t, store.Close())
	require.Equal(t, map[string]string{"store.json": "{}\n"}, contents(t, filepath.Dir(path)))
}

// A watcher gets the end of an entry without any other write.
func TestWatchTellsOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		noted := steps(ctx, store)
		require.Equal(t, "[]", <-noted)
		store.SetWithTTL("a", "1", time.Hour)
		require.Equal(t, "[a:>1]", <-noted)
		store.SetWithTTL("a", "1", 2*time.Hour)
		require.Equal(t, "[a:1>1]", <-noted, "of which the deadline differs")
		began := time.Now()
		require.Equal(t, "[a:1>]", <-noted)
		require.InDelta(t, 2*time.Hour, time.Since(began), float64(time.Millisecond))
		cancel()
		require.Empty(t, <-noted)
	})
}

// A step may come after the deadline and before the removal. It has the end, and the
// removal is no second one.
func TestTheEndIsOneChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		for i := range 5_000 {
			store.SetWithTTL(fmt.Sprint("key", i), "v", time.Hour)
		}
		m := mirror{}
		for view, changes := range store.Watch(t.Context()) {
			m.follow(t, view, changes)
			if len(m) == 0 {
				break
			}
			time.Sleep(time.Hour - time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) + time.Microsecond)
			store.Set("another", "write")
			store.Delete("another")
		}
		require.Zero(t, store.Len())
	})
}

// No reader that begins after a deadline sees the entry, whichever goroutine reads.
func TestNoReaderSeesWhatHasEnded(t *testing.T) {
	store := newStore(t)
	const last = 3_000
	var ends [last]atomic.Int64 // in nanoseconds; 0 while SetWithTTL has not returned
	var writer, readers sync.WaitGroup
	var done atomic.Bool
	writer.Go(func() {
		for n := range last {
			store.SetWithTTL("key", strconv.Itoa(n), 20*time.Microsecond)
			ends[n].Store(time.Now().Add(20 * time.Microsecond).UnixNano())
			for i := 0; i < n%50; i++ {
				runtime.Gosched()
			}
		}
		done.Store(true)
	})
	for _, get := range []func() (string, bool){
		func() (string, bool) { return store.Get("key") },
		func() (string, bool) { value, ok := store.Snapshot()["key"]; return value, ok },
		func() (value string, ok bool) {
			_ = store.Update(func(tx *genie.Tx) error { value, ok = tx.Get("key"); return nil })
			return value, ok
		},
	} {
		readers.Go(func() {
			for !done.Load() {
				began := time.Now().UnixNano()
				if value, ok := get(); ok {
					n, _ := strconv.Atoi(value)
					if end := ends[n].Load(); end != 0 {
						assert.Less(t, began, end, "value %d", n)
					}
				}
			}
		})
	}
	writer.Wait()
	readers.Wait()
}

// A writer that never pauses does not outrun the removal.
func TestWritersDoNotOutrunTheRemoval(t *testing.T) {
	store := newStore(t)
	const ttl = 20 * time.Millisecond
	most := 0
	for n := range 400_000 {
		store.SetWithTTL(strconv.Itoa(n), "v", ttl)
		if n%10_000 == 0 {
			stats := store.Stats()
			most = max(most, stats.Expiring-stats.Entries)
		}
	}
	require.Less(t, most, 200_000, "entries that have ended")
	genie.Soon(t, "the end of the last", func() bool { return store.Stats().Expiring == 0 })
}

// The memory of an entry that has ended is freed, and all the store has is a timer.
func TestEntriesThatHaveEndedAreGarbage(t *testing.T) {
	store := newStore(t)
	before := runtime.NumGoroutine()
	collected := make(chan struct{})
	func() {
		value := strings.Repeat("v", 1<<20)
		runtime.AddCleanup(unsafe.StringData(value), func(struct{}) { close(collected) }, struct{}{})
		store.SetWithTTL("key", value, 10*time.Millisecond)
		store.SetWithTTL("later", "", time.Hour)
	}()
	genie.Soon(t, "the removal", func() bool { return store.Stats().Expiring == 1 })
	genie.Soon(t, "the end of the owner", func() bool { return runtime.NumGoroutine() <= before })
	genie.Collected(t, "the collection of the value", collected)
	require.Equal(t, 1, store.Len())
}

// A sessionStore is what session managers such as alexedwards/scs ask of a store: find,
// commit with the time of the end, delete, all.
type sessionStore struct{ store *genie.Store }

func (s sessionStore) find(token string) (data []byte, found bool) {
	value, found := s.store.Get(token)
	return []byte(value), found
}

func (s sessionStore) commit(token string, data []byte, end time.Time) {
	s.store.SetWithTTL(token, string(data), time.Until(end))
}

func TestASessionStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		sessions := sessionStore{store}
		_, found := sessions.find("missing")
		require.False(t, found)
		store.Delete("missing")

		sessions.commit("a", []byte("one\x00\xff"), time.Now().Add(time.Minute))
		sessions.commit("b", nil, time.Now().Add(time.Hour))
		sessions.commit("over", []byte("x"), time.Now().Add(-time.Minute))
		data, found := sessions.find("a")
		require.True(t, found)
		require.Equal(t, "one\x00\xff", string(data))
		data, found = sessions.find("b")
		require.True(t, found)
		require.Empty(t, data)
		require.Len(t, store.Snapshot(), 2)

		sessions.commit("a", []byte("two"), time.Now().Add(10*time.Minute)) // renewed
		time.Sleep(5 * time.Minute)
		data, found = sessions.find("a")
		require.True(t, found)
		require.Equal(t, "two", string(data))
		store.Delete("b")
		time.Sleep(5 * time.Minute)
		require.Empty(t, store.Snapshot())
	})
}

// A cache has entries with and without an end, finds how long each has left, and counts
// those that are left. Entries without an end stay.
func TestACache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		ttls := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour}
		for key, ttl := range ttls {
			store.SetWithTTL(key, key, ttl)
		}
		store.Set("for ever", "")
		began := time.Now()
		left := func(key string) time.Duration { at, _ := store.ExpiresAt(key); return time.Until(at) }
		for _, passed := range []time.Duration{0, time.Second - 1, time.Second, 59 * time.Second, time.Minute, time.Hour - 1, time.Hour, 24 * time.Hour} {
			time.Sleep(passed - time.Since(began))
			count := 1
			for key, ttl := range ttls {
				if passed < ttl {
					count++
					require.Equal(t, ttl-passed, left(key))
				}
			}
			require.Equal(t, count, store.Len())
			require.Len(t, store.Snapshot(), count)
		}
	})
}

// A counter of a period begins anew with the next period.
func TestACounterOfAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		for period := range 3 {
			store.SetWithTTL("requests", "0", time.Minute)
			for n := range 5 {
				got, err := store.Increment("requests", 1)
				require.NoError(t, err)
				require.EqualValues(t, n+1, got, "in period %d", period)
				time.Sleep(10 * time.Second)
			}
			time.Sleep(10 * time.Second)
			_, found := store.Get("requests")
			require.False(t, found)
		}
		got, err := store.Increment("requests", 1)
		require.NoError(t, err)
		require.EqualValues(t, 1, got)
		_, ends := store.ExpiresAt("requests")
		require.False(t, ends, "a new counter has no deadline")
	})
}

// Counters.

func TestIncrement(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		delta int64
		want  int64
		err   error
	}{
		"one":                     {"41", 1, 42, nil},
		"back":                    {"1", -2, -1, nil},
		"nothing":                 {"7", 0, 7, nil},
		"the largest":             {"9223372036854775806", 1, math.MaxInt64, nil},
		"the smallest":            {"-9223372036854775807", -1, math.MinInt64, nil},
		"too large":               {"9223372036854775807", 1, 0, genie.ErrOverflow},
		"too small":               {"-9223372036854775808", -1, 0, genie.ErrOverflow},
		"the smallest delta":      {"-1", math.MinInt64, 0, genie.ErrOverflow},
		"a value that is too big": {"9223372036854775808", -1, 0, genie.ErrOverflow},
		"nothing written":         {"", 1, 0, genie.ErrNotInteger},
		"a word":                  {"seven", 1, 0, genie.ErrNotInteger},
		"a fraction":              {"1.5", 1, 0, genie.ErrNotInteger},
		"a space":                 {" 1", 1, 0, genie.ErrNotInteger},
		"another base":            {"0x10", 1, 0, genie.ErrNotInteger},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			store.Set("n", c.value)
			got, err := store.Increment("n", c.delta)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.want, got)
			want := strconv.FormatInt(c.want, 10)
			if c.err != nil {
				require.ErrorContains(t, err, `genie: increment "n": `)
				want = c.value
			}
			value, _ := store.Get("n")
			require.Equal(t, want, value)
		})
	}
}

func TestIncrementByMany(t *testing.T) {
	store := newStore(t)
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range 500 {
				_, err := store.Increment("n", 2)
				assert.NoError(t, err)
			}
		})
	}
	callers.Wait()
	n, err := store.Increment("n", 0)
	require.NoError(t, err)
	require.EqualValues(t, 16_000, n)
}

// A removal of an entry that has ended is a write, and nothing takes a write off the count.
func TestWritesNeverDecrease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := genie.NewStore(genie.WithoutFile())
		require.NoError(t, err)
		store.SetWithTTL("a", "1", time.Second)
		require.EqualValues(t, 1, store.Stats().Writes)
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 2, store.Stats().Writes, "the removal")
		_, err = store.ReadFrom(strings.NewReader(`{}`))
		require.NoError(t, err)
		require.EqualValues(t, 3, store.Stats().Writes)
		require.NoError(t, store.Close())
		require.EqualValues(t, 3, store.Stats().Writes)
	})
}

// The writes of these calls are written once, and only those that change something.
func TestTheCallsOfOneKeyAreWrites(t *testing.T) {
	for name, c := range map[string]struct {
		call   func(store *genie.Store)
		writes uint64
	}{
		"GetOrSet, missing":       {func(s *genie.Store) { s.GetOrSet("b", "") }, 1},
		"GetOrSet, found":         {func(s *genie.Store) { s.GetOrSet("a", "") }, 0},
		"CompareAndSwap":          {func(s *genie.Store) { s.CompareAndSwap("a", "1", "2") }, 1},
		"CompareAndSwap, other":   {func(s *genie.Store) { s.CompareAndSwap("a", "2", "3") }, 0},
		"CompareAndSwap, missing": {func(s *genie.Store) { s.CompareAndSwap("b", "", "3") }, 0},
		"Increment":               {func(s *genie.Store) { _, _ = s.Increment("a", 1) }, 1},
		"Increment, failed":       {func(s *genie.Store) { _, _ = s.Increment("a", math.MaxInt64) }, 0},
		"ReadFrom":                {func(s *genie.Store) { _, _ = s.ReadFrom(strings.NewReader(`{"a":"1"}`)) }, 1},
		"ReadFrom, failed":        {func(s *genie.Store) { _, _ = s.ReadFrom(strings.NewReader(`{"a":`)) }, 0},
		"Clear":                   {func(s *genie.Store) { inUpdate(nil, (*genie.Tx).Clear)(s) }, 1},
		"Clear, taken back":       {func(s *genie.Store) { inUpdate(io.EOF, (*genie.Tx).Clear)(s) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			store.Set("a", "1")
			require.NoError(t, store.Backup())
			c.call(store)
			require.Equal(t, c.writes, store.Stats().Unsaved)
			require.Equal(t, c.writes+1, store.Stats().Writes)
			want := store.Snapshot()
			require.Equal(t, want, reloaded(t, store))
		})
	}
}

// Tx.All and Tx.Clear.

func TestAllInAnUpdate(t *testing.T) {
	store := newStore(t)
	store.Set("a", "1")
	store.Set("b", "2")
	var kept iter.Seq2[string, string]
	require.NoError(t, store.Update(func(tx *genie.Tx) error {
		tx.Set("c", "3")
		tx.Delete("a")
		kept = tx.All()
		require.Equal(t, map[string]string{"b": "2", "c": "3"}, maps.Collect(kept))
		for key, value := range tx.All() {
			require.Contains(t, []string{"2", "3"}, value, "a loop does not see its own writes")
			tx.Set(key, "new")
			tx.Set(key+"'", "new")
		}
		for range tx.All() {
			break
		}
		return nil
	}))
	require.Equal(t, map[string]string{"b": "new", "c": "new", "b'": "new", "c'": "new"}, store.Snapshot())
	require.PanicsWithValue(t, "genie: Tx used after its function has returned", func() { _ = maps.Collect(kept) })
}

// A Clear, with writes before and behind it, stands as a whole or not at all.
func TestClearIsAllOrNothing(t *testing.T) {
	for _, fails := range []error{nil, io.EOF} {
		t.Run(fmt.Sprint(fails), func(t *testing.T) {
			store := newStore(t)
			for i := range 1_000 {
				store.Set(fmt.Sprint("key", i), "v")
			}
			before := store.Snapshot()
			err := store.Update(func(tx *genie.Tx) error {
				tx.Set("key1", "w")
				tx.Set("new", "w")
				tx.Delete("key2")
				tx.Clear()
				require.Zero(t, tx.Len())
				tx.Set("key3", "x")
				tx.Delete("key3")
				tx.Set("key4", "x")
				tx.Clear()
				tx.Set("key5", "y")
				require.Equal(t, map[string]string{"key5": "y"}, maps.Collect(tx.All()))
				return fails
			})
			require.ErrorIs(t, err, fails)
			want := map[string]string{"key5": "y"}
			if fails != nil {
				want = before
			}
			require.Equal(t, want, store.Snapshot())
			require.Equal(t, want, reloaded(t, store))
		})
	}
}

// ReadFrom.

// A reader that panics, or ends its goroutine, replaces nothing.
func TestReadFromOfAReaderThatDoesNotReturn(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("mine") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			store.Set("a", "1")
			reader := io.MultiReader(strings.NewReader(`{"a":"2","b":`), readerFunc(func([]byte) (int, error) { end(); return 0, io.EOF }))
			if name == "panic" {
				require.PanicsWithValue(t, "mine", func() { _, _ = store.ReadFrom(reader) })
			} else {
				_, err := store.ReadFrom(reader)
				require.ErrorContains(t, err, "the reader has ended its goroutine")
			}
			require.Equal(t, map[string]string{"a": "1"}, store.Snapshot())
		})
	}
}

type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestReadFromReplacesEverythingOrNothing(t *testing.T) {
	for name, c := range map[string]struct {
		from  io.Reader
		fault string // "" if it is read
		want  map[string]string
	}{
		"a backup":             {strings.NewReader(`{"b":"3","c":"4"}`), "", map[string]string{"b": "3", "c": "4"}},
		"nothing in it":        {strings.NewReader(`{}`), "", map[string]string{}},
		"steps behind it":      {strings.NewReader(journalText), "", map[string]string{"k": "2"}},
		"no text":              {strings.NewReader(""), "line 1, byte 0: unexpected EOF", nil},
		"cut off":              {strings.NewReader(`{"b":"3","c":`), "line 1, byte 13: unexpected EOF", nil},
		"cut off in a step":    {strings.NewReader(journalText[:len(journalText)-5]), "line 2, byte 12: ", nil},
		"an entry that ended":  {strings.NewReader(`{"b":{"value":"3","expires":"2001-02-03T04:05:06Z"}}`), "", map[string]string{}},
		"another kind":         {strings.NewReader(`[1]`), "a list, not a JSON object", nil},
		"a number":             {strings.NewReader(`{"b":3}`), `the value of "b" is a number`, nil},
		"a key twice":          {strings.NewReader(`{"b":"3","b":"4"}`), `duplicate name "b"`, nil},
		"a reader that fails":  {io.MultiReader(strings.NewReader(`{"b":"3",`), iotest.ErrReader(errFull)), "genie: read a backup: full", nil},
		"a reader of one byte": {iotest.OneByteReader(strings.NewReader(`{"b":"3"}`)), "", map[string]string{"b": "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			store.Set("a", "1")
			store.Set("b", "2")
			_, err := store.ReadFrom(c.from)
			if c.fault != "" {
				require.ErrorContains(t, err, c.fault)
				require.True(t, errors.Is(err, genie.ErrCorrupt) || errors.Is(err, errFull))
				c.want = map[string]string{"a": "1", "b": "2"}
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.want, store.Snapshot())
			require.Equal(t, c.want, reloaded(t, store))
		})
	}
}

const journalText = "{\"old\":\"x\"}\n" +
	`{"step":1,"prev":"9ffc9b17","set":{"k":"2"},"delete":["old"],"crc":"2cb84de5"}` + "\n"

func TestReadFromCountsTheBytes(t *testing.T) {
	store := newStore(t)
	n, err := store.ReadFrom(strings.NewReader("{\"a\":\"1\"}\n\n"))
	require.NoError(t, err)
	require.EqualValues(t, 11, n)
}

// A watcher gets the keys that a ReadFrom changes, and a journal a step of them.
func TestWhatReadFromChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.json")
		store, err := genie.NewStore(genie.WithPath(path), genie.WithJournal())
		require.NoError(t, err)
		store.Set("a", "1")
		store.Set("b", "2")
		store.Set("c", "3")
		require.NoError(t, store.Sync())
		ctx, cancel := context.WithCancel(t.Context())
		noted := steps(ctx, store)
		require.Equal(t, "[a:>1 b:>2 c:>3]", <-noted)
		_, err = store.ReadFrom(strings.NewReader(`{"a":"1","b":"9","d":"4"}`))
		require.NoError(t, err)
		require.Equal(t, "[b:2>9 c:3> d:>4]", <-noted)
		require.NoError(t, store.Sync())
		cancel()
		<-noted
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		_, step, _ := strings.Cut(string(text), "\n")
		require.Contains(t, step, `"delete":["c"]`)
		require.NotContains(t, step, `"a"`)
	})
}

// Writers and readers go on while a store is replaced again and again.
func TestReadFromBesideOthers(t *testing.T) {
	store := newStore(t)
	var others sync.WaitGroup
	var done atomic.Bool
	for w := range 3 {
		others.Go(func() {
			for n := 0; !done.Load(); n++ {
				store.Set(fmt.Sprint("key", n%100), fmt.Sprint(w, n))
				_ = store.View(func(v *genie.View) error {
					assert.Equal(t, v.Len(), len(maps.Collect(v.All())))
					return nil
				})
			}
		})
	}
	m := mirror{}
	others.Go(func() {
		for view, changes := range store.Watch(t.Context()) {
			m.follow(t, view, changes)
			if done.Load() {
				return
			}
		}
	})
	for i := range 300 {
		text, _ := json.Marshal(map[string]string{"key1": strconv.Itoa(i), "key2": "x", "own" + strconv.Itoa(i%7): "y"})
		_, err := store.ReadFrom(bytes.NewReader(text))
		require.NoError(t, err)
	}
	done.Store(true)
	store.Set("end", "")
	others.Wait()
}

// WithoutFile.

func TestAStoreWithoutAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := genie.NewStore(genie.WithoutFile())
		require.NoError(t, err)
		store.Set("a", "1")
		require.ErrorIs(t, store.Backup(), genie.ErrNoFile)
		require.ErrorIs(t, store.Sync(), genie.ErrNoFile)
		store.StartAutoBackup(time.Second)
		require.ErrorIs(t, <-store.AutoBackupErrors(), genie.ErrNoFile)
		require.NoError(t, store.Close())
		require.Equal(t, map[string]string{"a": "1"}, store.Snapshot())
		stats := store.Stats()
		require.Empty(t, stats.Path)
		require.Zero(t, stats.NextBackup)
	})
}

// The file.

func TestDefaultFileIsInTheHomeFolder(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home) // Windows
	store, err := genie.NewStore()
	require.NoError(t, err)
	require.Empty(t, contents(t, home), "nothing to load, nothing written")
	store.Set("k", "v")
	require.NoError(t, store.Backup())
	require.Equal(t, map[string]string{".kvstore_backup.json": "{\"k\":\"v\"}\n"}, contents(t, home))
}

func TestLoadClearsTheFileAndKeepsTheData(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b.json")
	text := `{"a":"1","b":"2"}`
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))

	store := openStore(t, path)
	require.Equal(t, map[string]string{"a": "1", "b": "2"}, store.Snapshot())
	require.Equal(t, map[string]string{"b.json": "", "b.json.loaded": text}, contents(t, dir))

	require.Zero(t, openStore(t, path).Len(), "a second store finds nothing")

	store.Delete("a")
	require.NoError(t, store.Backup())
	require.Equal(t, map[string]string{"b.json": "{\"b\":\"2\"}\n"}, contents(t, dir))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

func TestBackupErrorNamesFileAndCause(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d", "b.json")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	store := openStore(t, path)
	store.Set("k", "v")
	require.NoError(t, os.RemoveAll(filepath.Dir(path)))

	err := store.Backup()
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "genie: back up "+path)
	require.ErrorIs(t, store.Close(), fs.ErrNotExist)
	value, _ := store.Get("k")
	require.Equal(t, "v", value, "memory is intact")

	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	require.NoError(t, store.Backup())
	require.Equal(t, map[string]string{"b.json": "{\"k\":\"v\"}\n"}, contents(t, filepath.Dir(path)))
}

func TestBackupKeepsAFileOfAnotherProgram(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, filepath.Join(dir, "b.json"))
	store.Set("k", "mine")
	require.NoError(t, store.Backup())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.json"), []byte(`{"k":"theirs, longer"}`), 0o600))
	require.NoError(t, store.Backup())
	require.Equal(t, map[string]string{
		"b.json":      "{\"k\":\"mine\"}\n",
		"b.json.prev": `{"k":"theirs, longer"}`,
	}, contents(t, dir))
}

func TestCloseAnyNumberOfTimes(t *testing.T) {
	store := newStore(t)
	store.StartAutoBackup(time.Hour)
	errs := store.AutoBackupErrors()
	for i := range 3 {
		store.Set("k", strconv.Itoa(i))
		require.NoError(t, store.Close())
	}
	_, open := <-errs
	require.False(t, open)
	value, ok := store.Get("k")
	require.True(t, ok)
	require.Equal(t, "2", value)
}

func TestWriteTo(t *testing.T) {
	store := newStore(t)
	want := map[string]string{}
	for i := range 5000 {
		want[fmt.Sprint("key", i)] = strings.Repeat("v", i%100)
		store.Set(fmt.Sprint("key", i), strings.Repeat("v", i%100))
	}
	var buf bytes.Buffer
	n, err := store.WriteTo(&buf)
	require.NoError(t, err)
	require.Equal(t, int64(buf.Len()), n)
	var got map[string]string
	require.NoError(t, json.Unmarshal(buf.Bytes(), &got))
	require.Equal(t, want, got)

	var _ io.WriterTo = store
	n, err = store.WriteTo(&limited{room: 100_000})
	require.ErrorIs(t, err, errFull)
	require.ErrorContains(t, err, "genie: write a backup: ")
	require.Equal(t, int64(100_000), n)
}

func TestNewStoreErrors(t *testing.T) {
	file := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		}
	}
	tests := map[string]struct {
		prepare func(t *testing.T, path string)
		is      error
		corrupt int64 // offset, or -1
	}{
		"directory":      {func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) }, genie.ErrNotRegular, -1},
		"pipe":           {makePipe, genie.ErrNotRegular, -1},
		"missing folder": {func(t *testing.T, path string) { require.NoError(t, os.Remove(filepath.Dir(path))) }, fs.ErrNotExist, -1},
		"half a file":    {file(`{"a":"1","b`), genie.ErrCorrupt, 11},
		"not strings":    {file(`{"a":1}`), genie.ErrCorrupt, 5},
		"a list":         {file(`["a"]`), genie.ErrCorrupt, 0},
		"two objects":    {file(`{"a":"1"} {}`), genie.ErrCorrupt, 10},
		"a name twice":   {file(`{"a":"1","a":"2"}`), genie.ErrCorrupt, 9},
		"not UTF-8":      {file("{\"a\":\"\xff\"}"), genie.ErrCorrupt, 6},
		"white space":    {file(" \n"), genie.ErrCorrupt, -1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "d")
			require.NoError(t, os.Mkdir(dir, 0o700))
			path := filepath.Join(dir, "b.json")
			test.prepare(t, path)
			before := map[string]string{}
			if _, err := os.Stat(dir); err == nil {
				before = contents(t, dir)
			}

			_, err := genie.NewStore(genie.WithPath(path))
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, "genie: ")
			require.ErrorContains(t, err, path)
			if test.corrupt >= 0 {
				corrupt, ok := errors.AsType[*genie.CorruptError](err)
				require.True(t, ok)
				require.Equal(t, path, corrupt.Path)
				require.Equal(t, test.corrupt, corrupt.Offset)
			}
			if test.is != fs.ErrNotExist {
				require.Equal(t, before, contents(t, dir), "nothing changed on disk")
			}
		})
	}
}

func TestHomeFolderErrors(t *testing.T) {
	for name, home := range map[string]string{
		"unset":   "",
		"missing": filepath.Join(t.TempDir(), "gone"),
		"a file":  makeFile(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", home)
			t.Setenv("USERPROFILE", home)
			_, err := genie.NewStore()
			require.ErrorContains(t, err, "genie: ")
		})
	}
}

// Mistakes.

func TestMistakesAreNamed(t *testing.T) {
	_, err := genie.NewStore(genie.WithPath("store.json"), genie.WithLockTimeout(-time.Second))
	require.EqualError(t, err, "genie: new store: WithLockTimeout: negative time -1s: invalid argument")

	_, err = genie.NewStore(genie.WithPath(""))
	require.EqualError(t, err, "genie: new store: WithPath: empty path: invalid argument")
	require.ErrorIs(t, err, fs.ErrInvalid)

	t.Setenv("HOME", "")
	t.Setenv("USERPROFILE", "")
	_, err = genie.NewStore()
	require.ErrorContains(t, err, "choose a path with WithPath")

	for _, option := range []genie.Option{genie.WithPath("store.json"), genie.WithJournal(), genie.WithReadOnly()} {
		_, err = genie.NewStore(genie.WithoutFile(), option)
		require.EqualError(t, err, "genie: new store: WithoutFile, with an option that is about a file: invalid argument")
	}
	_, err = genie.NewStore(genie.WithLogger(nil))
	require.EqualError(t, err, "genie: new store: WithLogger: nil logger: invalid argument")

	_, err = genie.NewStore(nil)
	require.EqualError(t, err, "genie: new store: nil Option: invalid argument")

	const message = "genie: a Store that NewStore has not made; use NewStore"
	for name, call := range map[string]func(s *genie.Store){
		"Get":            func(s *genie.Store) { s.Get("k") },
		"Set":            func(s *genie.Store) { s.Set("k", "v") },
		"SetWithTTL":     func(s *genie.Store) { s.SetWithTTL("k", "v", 1) },
		"ExpiresAt":      func(s *genie.Store) { s.ExpiresAt("k") },
		"GetOrSet":       func(s *genie.Store) { s.GetOrSet("k", "v") },
		"CompareAndSwap": func(s *genie.Store) { s.CompareAndSwap("k", "v", "w") },
		"Increment":      func(s *genie.Store) { _, _ = s.Increment("k", 1) },
		"ReadFrom":       func(s *genie.Store) { _, _ = s.ReadFrom(strings.NewReader("{}")) },
		"Stats":          func(s *genie.Store) { s.Stats() },
		"Delete":         func(s *genie.Store) { s.Delete("k") },
		"Len":            func(s *genie.Store) { s.Len() },
		"All":            func(s *genie.Store) { _ = maps.Collect(s.All()) },
		"Update":         func(s *genie.Store) { _ = s.Update(func(*genie.Tx) error { return nil }) },
		"Backup":         func(s *genie.Store) { _ = s.Backup() },
		"StopAutoBackup": func(s *genie.Store) { s.StopAutoBackup() },
	} {
		require.PanicsWithValue(t, message, func() { call(new(genie.Store)) }, name)
	}
}

// Under the race detector, a call of a store from inside its own Update panics and
// says so. Elsewhere it deadlocks, as documented.
func TestStoreInsideItsOwnUpdate(t *testing.T) {
	if !raceEnabled() {
		t.Skip("such a call is noticed only under the race detector")
	}
	store, other := newStore(t), newStore(t)
	for name, call := range map[string]func(){
		"Get":              func() { store.Get("k") },
		"Set":              func() { store.Set("k", "v") },
		"Delete":           func() { store.Delete("k") },
		"Len":              func() { store.Len() },
		"Snapshot":         func() { store.Snapshot() },
		"All":              func() { _ = maps.Collect(store.All()) },
		"View":             func() { _ = store.View(func(*genie.View) error { return nil }) },
		"Update":           func() { _ = store.Update(func(*genie.Tx) error { return nil }) },
		"WriteTo":          func() { _, _ = store.WriteTo(io.Discard) },
		"Backup":           func() { _ = store.Backup() },
		"StartAutoBackup":  func() { store.StartAutoBackup(time.Hour) },
		"StopAutoBackup":   func() { store.StopAutoBackup() },
		"AutoBackupErrors": func() { store.AutoBackupErrors() },
		"Close":            func() { _ = store.Close() },
		"through another": func() {
			_ = other.Update(func(*genie.Tx) error { store.Get("k"); return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.PanicsWithValue(t, "genie: store called from inside its own Update; use the Tx", func() {
				_ = store.Update(func(tx *genie.Tx) error { tx.Set("k", "half done"); call(); return nil })
			})
			require.Zero(t, store.Len(), "nothing has changed")
		})
	}
	require.NoError(t, store.Update(func(*genie.Tx) error {
		other.Set("from", "inside") // another store is fine
		return other.Update(func(tx *genie.Tx) error { tx.Set("and", "nested"); return nil })
	}))
	require.Equal(t, map[string]string{"from": "inside", "and": "nested"}, other.Snapshot())
}

// Costs.

func TestIdleStoresHoldNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	stores := make([]*genie.Store, 500)
	for i := range stores {
		stores[i] = newStore(t)
		stores[i].Set("k", "v")
		stores[i].Get("k")
		stores[i].StartAutoBackup(time.Hour)
	}
	genie.Soon(t, "the end of the last owners", func() bool { return runtime.NumGoroutine() <= before })
	for _, store := range stores {
		store.StopAutoBackup()
	}
}

func TestForgottenStoreIsGarbage(t *testing.T) {
	collected := make(chan struct{})
	func() {
		store := newStore(t)
		store.Set("k", "v")
		store.StartAutoBackup(time.Hour)
		store.StopAutoBackup()
		runtime.AddCleanup(store, func(struct{}) { close(collected) }, struct{}{})
	}()
	genie.Collected(t, "the collection of the store", collected)
}

func TestHotPathsAllocateNothing(t *testing.T) {
	if raceEnabled() {
		t.Skip("pools drop things on purpose under the race detector")
	}
	store := newStore(t)
	store.Set("k", "v")
	require.Zero(t, testing.AllocsPerRun(10_000, func() { store.Get("k") }))
	require.Zero(t, testing.AllocsPerRun(10_000, func() { store.Set("k", "v") }))
	require.Zero(t, testing.AllocsPerRun(10_000, func() { store.GetOrSet("k", "w") }))
	require.Zero(t, testing.AllocsPerRun(10_000, func() { store.CompareAndSwap("k", "v", "v") }))
	store.Set("n", "1")
	require.Zero(t, testing.AllocsPerRun(10_000, func() { _, _ = store.Increment("n", 0) }), "of a small sum")
	require.LessOrEqual(t, testing.AllocsPerRun(10_000, func() {
		_ = store.View(func(*genie.View) error { return nil })
	}), 1.0, "the View")
	require.LessOrEqual(t, testing.AllocsPerRun(10_000, func() {
		_ = store.Update(func(*genie.Tx) error { return nil })
	}), 1.0, "the Tx")
}

// A string that was replaced is garbage at once: no pool of commands keeps it. A
// pool forgets by itself after two collections, so the test allows one.
func TestReplacedStringsAreGarbage(t *testing.T) {
	if raceEnabled() {
		t.Skip("the race detector keeps memory alive")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for name, use := range map[string]func(store *genie.Store, value string){
		"Set":      func(store *genie.Store, value string) { store.Set("k", value) },
		"a key":    func(store *genie.Store, value string) { store.Set(value, ""); store.Delete(value) },
		"Get":      func(store *genie.Store, value string) { store.Set("k", value); store.Get("k") },
		"Snapshot": func(store *genie.Store, value string) { store.Set("k", value); store.Snapshot() },
		"GetOrSet": func(store *genie.Store, value string) { store.Set("k", value); store.GetOrSet("k", value) },
		"CompareAndSwap": func(store *genie.Store, value string) {
			store.Set("k", value)
			store.CompareAndSwap("k", value, "")
			store.CompareAndSwap("k", value, value)
		},
		"Increment":  func(store *genie.Store, value string) { _, _ = store.Increment(value, 1); store.Delete(value) },
		"SetWithTTL": func(store *genie.Store, value string) { store.SetWithTTL("k", value, time.Hour) },
		"Clear": func(store *genie.Store, value string) {
			store.Set("k", value)
			_ = store.Update(func(tx *genie.Tx) error { tx.Clear(); return nil })
		},
		"Update": func(store *genie.Store, value string) {
			_ = store.Update(func(tx *genie.Tx) error { tx.Set("k", value); tx.Set("k", "no"); return io.EOF })
		},
		"a key cut out, set again": func(store *genie.Store, value string) {
			store.Set(value[:1], "")
			store.Set("v", "")
		},
		"a key cut out, in an Update that failed": func(store *genie.Store, value string) {
			store.Set("v", "")
			_ = store.Update(func(tx *genie.Tx) error {
				tx.Set(value[:1], "")
				tx.Delete(value[:1])
				return io.EOF
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			freed := make(chan struct{})
			func() {
				value := strings.Repeat("v", 1<<20)
				runtime.AddCleanup(unsafe.StringData(value), func(struct{}) { close(freed) }, struct{}{})
				use(store, value)
			}()
			store.Set("k", "")
			require.LessOrEqual(t, store.Len(), 2) // the owner has applied every command
			runtime.GC()
			select {
			case <-freed:
			case <-time.After(10 * time.Second):
				t.Error("the string is still alive")
			}
			runtime.KeepAlive(store)
		})
	}
}

func TestWritingABackupAllocatesLittle(t *testing.T) {
	store := newStore(t)
	for i := range 200_000 {
		store.Set(fmt.Sprint("key", i), strings.Repeat("v", 50))
	}
	store.Len() // waits for the writes
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := store.WriteTo(io.Discard)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(n)/50, "of %d bytes", n)
}

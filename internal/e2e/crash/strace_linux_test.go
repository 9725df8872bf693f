package crash_test

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// strace counts system calls by kind and by thread, and the goroutine that writes
// a backup changes threads. So a test cannot choose the call of the store at which
// strace strikes. The tests strike at the first call of a kind, the second, and so
// on until the child survives, and note each call. The counting begins with the
// load or with the backups, so that few calls of the runtime are counted.

// staleTemp is a temporary file that a dead process has left.
const staleTemp = ".b.tmp-0123456789abcdef"

type phase string

const (
	whileLoading   phase = "while loading"
	whileBackingUp phase = "while backing up"
)

var phases = []phase{whileLoading, whileBackingUp}

// A state is the contents of the folder before the child starts.
type state struct {
	name       string
	generation int // of the backup that it must load
	setUp      func(t *testing.T, path string)
	role       string // of the child, or "" for the usual
}

var states = []state{
	{"nothing", 0, func(*testing.T, string) {}, ""},
	{"a backup, and the remains of another", 7, func(t *testing.T, path string) {
		writeGeneration(t, path, 7)
		temp := filepath.Join(filepath.Dir(path), staleTemp)
		require.NoError(t, os.WriteFile(temp, nil, 0o600))
	}, ""},
	{"a hand-over file", 7, func(t *testing.T, path string) {
		writeGeneration(t, path, 7)
		require.NoError(t, os.Rename(path, path+".loaded"))
	}, ""},
	{"a backup and an older hand-over file", 7, func(t *testing.T, path string) {
		writeGeneration(t, path+".older", 6)
		writeGeneration(t, path, 7)
		require.NoError(t, os.Rename(path+".older", path+".loaded"))
	}, ""},
}

// A traced run is the lines and the system calls of a child under strace.
type traced struct {
	lines    []string
	calls    []string // with a file in the folder, up to the end of the child
	hits     []string // the calls that an error was injected into
	injected bool     // into any call at all
}

func (r traced) survived() bool {
	return len(r.lines) > 0 && (r.lines[len(r.lines)-1] == "DONE" || strings.HasPrefix(r.lines[0], "LOADED"))
}

// reported returns how many errors the store has returned.
func (r traced) reported() (n int) {
	for _, line := range r.lines {
		if strings.HasPrefix(line, "ERROR ") {
			n++
		}
	}
	return n
}

// trace runs a child on a folder in this state, and requires that nothing is lost,
// however the child ends.
func trace(t *testing.T, s state, from phase, kind, inject string) traced {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "b")
	s.setUp(t, path)
	c := spawn(t, cmp.Or(s.role, "cycle"), path, patience)
	c.expect("READY")
	if from == whileBackingUp {
		c.letGo()
		require.EqualValues(t, s.generation, c.expect("LOADED")[0])
	}
	log := attach(t, c, kind, inject)
	c.letGo()
	if from == whileLoading {
		require.NoError(t, c.stdin.Close()) // and no further
	}
	r := traced{lines: c.end()}
	for line := range strings.Lines(log()) {
		injected := strings.Contains(line, "(INJECTED)")
		r.injected = r.injected || injected
		if call := callIn(dir, line); call != "" {
			r.calls = append(r.calls, call)
			if injected {
				r.hits = append(r.hits, call)
			}
		}
	}
	requireNothingLost(t, path, s.generation, r)
	return r
}

// attach traces the child from now on, only its calls with one of the files if
// there are any. The log is complete when the child has ended.
func attach(t *testing.T, c *child, kind, inject string, files ...string) (log func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	args := []string{"-f", "-y", "-o", file, "-e", "trace=" + kind, "-p", strconv.Itoa(c.cmd.Process.Pid)}
	if inject != "" {
		args = append(args, "-e", "inject="+kind+":"+inject)
	}
	for _, name := range files {
		args = append(args, "-P", name)
	}
	strace := exec.CommandContext(limited(t), "strace", args...)
	said, err := strace.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, strace.Start())
	lines := bufio.NewScanner(said)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "attached")
	wait := sync.OnceFunc(func() {
		for lines.Scan() {
		}
		_ = strace.Wait() // strace ends as the child does
	})
	t.Cleanup(func() {
		_ = strace.Process.Kill() // or strace would wait for a child that is still alive
		wait()
	})
	return func() string {
		wait()
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(text)
	}
}

var (
	callName   = regexp.MustCompile(`^\d+ +(\w+)\(`)
	tempSuffix = regexp.MustCompile(`\.tmp-\w+`)
)

// callIn returns, for a line of strace, the names of the call and of its files in
// dir: "renameat b b.loaded". The folder itself is ".".
func callIn(dir, line string) string {
	name := callName.FindStringSubmatch(line)
	if name == nil || !strings.Contains(line, dir) {
		return ""
	}
	line, _, _ = strings.Cut(line, ") = ") // the result
	words := []string{name[1]}
	for _, rest := range strings.Split(line, dir)[1:] {
		file, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), `"`)
		file, _, _ = strings.Cut(file, ">")
		if file == "" {
			file = "."
		}
		words = append(words, tempSuffix.ReplaceAllString(file, ".tmp-*"))
	}
	return strings.Join(words, " ")
}

// requireNothingLost requires that the next start finds the last backup that was
// acknowledged, or the one after it, and leaves nothing behind.
func requireNothingLost(t *testing.T, path string, before int, r traced) {
	t.Helper()
	acknowledged := lastAck(r.lines, before)
	store, err := genie.NewStore(genie.WithPath(path), genie.WithLockTimeout(0))
	require.NoError(t, err, "%q", r)
	require.GreaterOrEqual(t, generation(store), acknowledged, "%q", r)
	require.LessOrEqual(t, generation(store), before+3, "%q", r)
	names, err := temps(path)
	require.NoError(t, err)
	require.Empty(t, names, "%q", r)
	require.NoError(t, store.Close(), "%q", r)
}

// needStrace skips the test where strace is missing or may not trace.
func needStrace(t *testing.T) {
	t.Helper()
	if err := exec.Command("strace", "-f", "-o", os.DevNull, "true").Run(); err != nil {
		t.Skipf("strace: %v", err)
	}
}

// calls are the kinds of system calls that the store makes.
var calls = []string{
	"openat", "fchmod", "write", "fsync", "close", "renameat", "unlinkat", "flock", "newfstatat", "fstat", "read",
	"getdents64", "readlinkat",
}

func TestKilledAtEverySystemCall(t *testing.T) {
	needStrace(t)
	t.Parallel()
	some, kinds := states[1:2], []string{"renameat", "fsync", "unlinkat"}
	if long() {
		some, kinds = states, calls
	}
	runs, struck := 0, map[string]bool{}
	for _, s := range some {
		for _, from := range phases {
			t.Run(fmt.Sprint(s.name, " ", from), func(t *testing.T) {
				for _, kind := range kinds {
					n, calls := killAtEvery(t, s, from, kind)
					runs += n
					add(struck, calls...)
				}
			})
		}
	}
	t.Logf("%d runs, killed at %d different calls: %q", runs, len(struck), keys(struck))
	require.Subset(t, keys(struck), []string{
		"fsync .b.tmp-*", "fsync .", "fsync b", "renameat b b.loaded", "renameat .b.tmp-* b", "unlinkat .b.tmp-*",
		"unlinkat b.loaded",
	})
}

// killAtEvery kills children at every call of this kind, and returns the number of
// children and the calls. It tries again if another thread has counted the call.
func killAtEvery(t *testing.T, s state, from phase, kind string) (runs int, struck []string) {
	set, all := map[string]bool{}, trace(t, s, from, kind, "").calls
	const passes = 10
	for pass := 0; pass < passes && !containsAll(set, all); pass++ {
		for when := 1; ; when++ {
			r := trace(t, s, from, kind, fmt.Sprintf("signal=SIGKILL:when=%d", when))
			if r.survived() {
				break
			}
			runs++
			if len(r.calls) > 0 { // or the child had not called the store yet
				add(set, r.calls[len(r.calls)-1])
			}
		}
	}
	require.Subset(t, keys(set), all, "not once in %d passes", passes)
	return runs, keys(set)
}

func containsAll(set map[string]bool, all []string) bool {
	return !slices.ContainsFunc(all, func(one string) bool { return !set[one] })
}

func add(set map[string]bool, all ...string) {
	for _, one := range all {
		set[one] = true
	}
}

func keys(set map[string]bool) (all []string) {
	for key := range set {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// failures are the kinds of system calls that fail, each with its error.
var failures = [][2]string{
	{"fsync", "EIO"}, {"write", "ENOSPC"}, {"renameat", "EBUSY"}, // the sample
	{"renameat", "EXDEV"}, {"openat", "EMFILE"}, {"openat", "EROFS"}, {"fchmod", "EPERM"}, {"close", "EIO"},
	{"unlinkat", "EACCES"}, {"flock", "ENOLCK"}, {"newfstatat", "EIO"}, {"fstat", "EIO"}, {"read", "EIO"},
	{"getdents64", "EIO"}, {"readlinkat", "EIO"},
}

// tolerated are the calls whose failure need not be reported: the load or the
// backup is complete without them.
var tolerated = []string{
	// The remains of a dead process, and the file that shows whether a backup can
	// be written. The next start sweeps both.
	"openat .b.tmp-*", "newfstatat .b.tmp-*", "fstat .b.tmp-*", "unlinkat .b.tmp-*", "close .b.tmp-*",
	// The work is done already: the folder is synced, the contents are, the
	// hand-over file is not needed. The next backup removes it.
	"close .", "close b", "close b.loaded", "fstat b", "fstat b.loaded", "newfstatat b.loaded", "unlinkat b.loaded",
	// os.Rename looks whether it would replace a folder; filepath.EvalSymlinks
	// and os.Readlink look for links.
	"newfstatat b", "newfstatat b.prev", "newfstatat .", "readlinkat b",
	// The lock is taken. The number of the owner is for messages, and os.OpenFile
	// looks whether the file is one to poll.
	"write b.lock", "fstat b.lock",
}

func TestEverySystemCallFails(t *testing.T) {
	needStrace(t)
	t.Parallel()
	some, kinds := states[1:2], failures[:3]
	if long() {
		some, kinds = states, failures
	}
	var all failed
	all.reported, all.unreported = map[string]bool{}, map[string]bool{}
	for _, s := range some {
		for _, from := range phases {
			t.Run(fmt.Sprint(s.name, " ", from), func(t *testing.T) {
				for _, f := range kinds {
					all.add(failEvery(t, s, from, f[0], f[1]))
				}
			})
		}
	}
	t.Logf("%d runs, reported %d: %q", all.runs, len(all.reported), keys(all.reported))
	t.Logf("tolerated %d: %q", len(all.unreported), keys(all.unreported))
	require.Subset(t, keys(all.reported), []string{
		"fsync .b.tmp-*", "fsync .", "fsync b", "renameat b b.loaded", "renameat .b.tmp-* b", "write .b.tmp-*",
	})
}

// A failed is the calls that have failed: with an error of the store, and without.
type failed struct {
	runs                 int
	reported, unreported map[string]bool
}

func (f *failed) add(more failed) {
	f.runs += more.runs
	add(f.reported, keys(more.reported)...)
	add(f.unreported, keys(more.unreported)...)
}

// failEvery lets every call of this kind fail, each in a child of its own. It tries
// again, as killAtEvery does, while a call of the run without errors is missing: if
// several threads share the calls, no thread may reach the number of that call.
func failEvery(t *testing.T, s state, from phase, kind, errno string) failed {
	f := failed{reported: map[string]bool{}, unreported: map[string]bool{}}
	all := trace(t, s, from, kind, "").calls
	missing := func(call string) bool { return !f.reported[call] && !f.unreported[call] }
	const passes = 10
	for pass := 0; pass < passes && slices.ContainsFunc(all, missing); pass++ {
		for when, injected := 1, true; injected; when++ {
			r := trace(t, s, from, kind, fmt.Sprintf("error=%s:when=%d", errno, when))
			injected = r.injected
			f.runs++
			f.judge(t, r)
		}
	}
	return f
}

// judge requires that the store has reported the error of this run, or may keep
// silent about it.
func (f *failed) judge(t *testing.T, r traced) {
	t.Helper()
	require.True(t, r.survived() || r.reported() > 0, "%q", r)
	switch r.reported() {
	case 0:
		require.Subset(t, tolerated, r.hits, "%q", r)
		add(f.unreported, r.hits...)
	case len(r.hits): // with fewer reports, the call is unknown
		add(f.reported, r.hits...)
	}
}

// The calls of a store with a journal, while it writes a whole file and two steps: each
// is where a kill strikes, and each fails.
func TestSystemCallsOfSteps(t *testing.T) {
	needStrace(t)
	t.Parallel()
	journal := state{"a journal", 7, func(t *testing.T, path string) { writeGeneration(t, path, 7) }, "steps"}
	struck := map[string]bool{}
	for _, kind := range []string{"fdatasync", "write", "renameat"} {
		_, calls := killAtEvery(t, journal, whileBackingUp, kind)
		add(struck, calls...)
	}
	require.Subset(t, keys(struck), []string{"fdatasync b", "write b", "renameat .b.tmp-* b"})
	var all failed
	all.reported, all.unreported = map[string]bool{}, map[string]bool{}
	for _, f := range [][2]string{{"fdatasync", "EIO"}, {"write", "ENOSPC"}} {
		all.add(failEvery(t, journal, whileBackingUp, f[0], f[1]))
	}
	t.Logf("%d runs, reported %q", all.runs, keys(all.reported))
	require.Subset(t, keys(all.reported), []string{"fdatasync b", "write b", "write .b.tmp-*"})
}

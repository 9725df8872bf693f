//go:build unix

// The processes are the test's own program, in another role.

package crash_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// The variables that make the program a child, and tell it what to work on.
const (
	roleVariable = "GENIE_TEST_ROLE"
	fileVariable = "GENIE_TEST_FILE"
)

// A role is what a child does. It says what it has done on its standard output,
// a line at a time: what was written there is not lost when it is killed.
type role func(path string)

var roles = map[string]role{
	"write":   writeForever,
	"hold":    loadAndHold,
	"cycle":   writeTwice,
	"limited": writeTooMuch,
}

func TestMain(m *testing.M) {
	if act := roles[os.Getenv(roleVariable)]; act != nil {
		act(os.Getenv(fileVariable))
		return
	}
	os.Exit(m.Run())
}

// long has the tests do all there is to do, and not a sample of it.
func long() bool { return os.Getenv("GENIE_LONG") != "" }

// say tells the parent, again if strace had the first write fail. A parent that
// is gone ends the child, by SIGPIPE.
func say(format string, args ...any) {
	if _, err := fmt.Printf(format+"\n", args...); err != nil {
		fmt.Printf(format+"\n", args...)
	}
}

// must ends a child that cannot do what its role is.
func must(err error) {
	if err != nil {
		say("FAILED %v", err)
		os.Exit(1)
	}
}

// A backup says which it is and whose.
const (
	generationKey = "generation"
	writerKey     = "writer"
)

func generation(store *genie.Store) int {
	value, _ := store.Get(generationKey)
	n, _ := strconv.Atoi(value) // 0 where there is none
	return n
}

// fillerKeys make a backup more than one write.
const fillerKeys = 400

func fill(store *genie.Store) {
	for i := range fillerKeys {
		store.Set(fmt.Sprint("filler ", i), strings.Repeat("x", 300))
	}
}

// loadAndSay loads and tells what and beside how many temporary files.
func loadAndSay(path string) *genie.Store {
	store, err := genie.NewStore(genie.WithPath(path))
	must(err)
	names, err := temps(path)
	must(err)
	say("LOADED %d %d", generation(store), len(names))
	return store
}

func writeForever(path string) {
	say("READY")
	store := loadAndSay(path)
	fill(store)
	store.Set(writerKey, strconv.Itoa(os.Getpid()))
	for n := generation(store) + 1; ; n++ {
		store.Set(generationKey, strconv.Itoa(n))
		began := time.Now()
		must(store.Backup())
		say("ACK %d %d %d", n, began.UnixNano(), time.Now().UnixNano())
	}
}

// loadAndHold loads, and lives until its parent is done with it.
func loadAndHold(path string) {
	say("READY")
	loadAndSay(path)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// writeTwice loads and makes two backups, whether they succeed or not, each when
// its parent says so. The load is all on one thread, so that strace can count.
func writeTwice(path string) {
	runtime.LockOSThread()
	say("READY")
	awaitGo()
	store, err := genie.NewStore(genie.WithPath(path))
	if err != nil {
		say("ERROR %v", err)
		return
	}
	loaded := generation(store)
	fill(store)
	say("LOADED %d", loaded)
	if !awaitGo() {
		return
	}
	for n := loaded + 1; n <= loaded+2; n++ {
		store.Set(generationKey, strconv.Itoa(n))
		if err := store.Backup(); err != nil {
			say("ERROR %v", err)
		} else {
			say("ACK %d", n)
		}
	}
	say("DONE")
}

// writeTooMuch makes a backup that is larger than files may be, and then one that
// is not.
func writeTooMuch(path string) {
	limit := syscall.Rlimit{Cur: 64 << 10, Max: 64 << 10}
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	store := loadAndSay(path)
	store.Set("large", strings.Repeat("x", 1<<20))
	err := store.Backup()
	say("TOO LARGE %v", errors.Is(err, syscall.EFBIG))
	awaitGo()
	store.Delete("large")
	store.Set(generationKey, strconv.Itoa(generation(store)+1))
	must(store.Backup())
	say("ACK %d", generation(store))
}

// awaitGo waits for the parent, again if strace had the first read fail. It
// returns false if the parent is done with the child.
func awaitGo() bool {
	var b [1]byte
	n, _ := os.Stdin.Read(b[:])
	if n == 0 {
		n, _ = os.Stdin.Read(b[:])
	}
	return n == 1
}

// temps returns the temporary files beside path.
func temps(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	var names []string
	for _, entry := range entries {
		if strings.Contains(entry.Name(), ".tmp-") {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

// A child is a process in a role.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
	ended bool
}

// spawn starts a child that works on path.
func spawn(t *testing.T, role, path string) *child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	// The race detector lets a program wait for a second before it ends.
	cmd.Env = append(os.Environ(), roleVariable+"="+role, fileVariable+"="+path, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{t: t, cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(func() { c.kill() })
	return c
}

// next returns the next line of the child, or "" when there are no more.
func (c *child) next() string {
	c.lines.Scan()
	return c.lines.Text()
}

// expect reads a line that begins with word and returns the numbers after it.
func (c *child) expect(word string) (numbers []int) {
	c.t.Helper()
	line := c.next()
	numbers, ok := numbersAfter(word, line)
	require.True(c.t, ok, "%q is not %s", line, word)
	return numbers
}

// numbersAfter returns the numbers of a line that begins with word.
func numbersAfter(word, line string) (numbers []int, ok bool) {
	rest, ok := strings.CutPrefix(line, word)
	for field := range strings.FieldsSeq(rest) {
		n, err := strconv.Atoi(field)
		numbers, ok = append(numbers, n), ok && err == nil
	}
	return numbers, ok
}

// expectLoad requires that the child loads a generation from lo to hi, and that
// no temporary file is left then. It returns the generation.
func (c *child) expectLoad(lo, hi int) int {
	c.t.Helper()
	c.expect("READY")
	loaded := c.expect("LOADED")
	require.GreaterOrEqual(c.t, loaded[0], lo)
	require.LessOrEqual(c.t, loaded[0], hi)
	require.Zero(c.t, loaded[1], "temporary files")
	return loaded[0]
}

// kill kills the child and returns what it had said that was not read yet.
func (c *child) kill() (rest []string) {
	if c.ended {
		return nil
	}
	_ = c.cmd.Process.Kill()
	return c.end()
}

// end waits for the end of the child and returns what it said up to then.
func (c *child) end() (rest []string) {
	c.ended = true
	for c.lines.Scan() {
		rest = append(rest, c.lines.Text())
	}
	c.stdin.Close()
	_ = c.cmd.Wait()
	return rest
}

// lastAck returns the number of the last ACK among lines, or n.
func lastAck(lines []string, n int) int {
	for _, line := range lines {
		if numbers, ok := numbersAfter("ACK", line); ok {
			n = numbers[0]
		}
	}
	return n
}

// spin lets up to limit pass. It does not sleep, which would wake up a child's
// turn later.
func spin(limit time.Duration) {
	if limit <= 0 {
		return
	}
	for began, wait := time.Now(), rand.N(limit); time.Since(began) < wait; {
	}
}

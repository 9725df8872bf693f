//go:build unix

package crash_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// childVariable makes the program a child. The arguments are then a role, the
// path of a backup file, and the arguments of the role.
const childVariable = "GENIE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		roles[os.Args[1]](os.Args[2], os.Args[3:])
		return
	}
	goleak.VerifyTestMain(m)
}

// long reports whether the tests do everything, and not only a sample.
func long() bool { return os.Getenv("GENIE_LONG") != "" }

// sample returns the number of trials of a run.
func sample(quick, all int) int {
	if long() {
		return all
	}
	return quick
}

// childLimit bounds the life of every child, and with it every wait for a line.
const childLimit = time.Minute

// patience is the lock timeout of a child that waits for another process. No test
// that passes reaches it.
const patience = "30s"

// A child is a process in a role.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
	ended bool
}

// spawn starts a child that works on path.
func spawn(t *testing.T, role, path string, args ...string) *child {
	t.Helper()
	return start(t, command(limited(t), role, path, args...))
}

// limited returns a context that kills the processes of t after childLimit.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), childLimit)
	t.Cleanup(cancel)
	return ctx
}

// command returns this program in a role. The race detector lets a program wait
// for a second before it ends, unless told not to.
func command(ctx context.Context, role, path string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, self, append([]string{role, path}, args...)...)
	cmd.Env = append(os.Environ(), childVariable+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

func start(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{t: t, cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(func() { c.kill() })
	return c
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// letGo has the child go on from the place where it waits.
func (c *child) letGo() { _, _ = c.stdin.Write([]byte{'\n'}) }

// next returns the next line of the child, or "" after the last.
func (c *child) next() string {
	c.lines.Scan()
	return c.lines.Text()
}

// expect reads a line that begins with word and returns the numbers after it.
func (c *child) expect(word string) (numbers []int64) {
	c.t.Helper()
	line := c.next()
	numbers, ok := numbersAfter(word, line)
	require.True(c.t, ok, "%q is not %s", line, word)
	return numbers
}

// numbersAfter returns the numbers of a line that begins with word.
func numbersAfter(word, line string) (numbers []int64, ok bool) {
	rest, ok := strings.CutPrefix(line, word)
	for field := range strings.FieldsSeq(rest) {
		n, err := strconv.ParseInt(field, 10, 64)
		numbers, ok = append(numbers, n), ok && err == nil
	}
	return numbers, ok
}

// expectLoad requires that the child loads a generation from lo to hi, and finds
// no temporary file afterwards. It returns the generation.
func (c *child) expectLoad(lo, hi int) int {
	c.t.Helper()
	c.expect("READY")
	return c.expectLoaded(lo, hi)
}

// expectLoaded is expectLoad for a child that has said READY.
func (c *child) expectLoaded(lo, hi int) int {
	c.t.Helper()
	loaded := c.expect("LOADED")
	n := int(loaded[0])
	require.GreaterOrEqual(c.t, n, lo)
	require.LessOrEqual(c.t, n, hi)
	require.Zero(c.t, loaded[1], "temporary files")
	return n
}

// expectInUse requires that the child gets ErrInUse, with the number of owner.
func (c *child) expectInUse(owner int) {
	c.t.Helper()
	c.expect("READY")
	line := c.next()
	require.True(c.t, strings.HasPrefix(line, "IN USE "), line)
	require.Contains(c.t, line, fmt.Sprintf("in use by process %d", owner))
}

// expectFailure requires that NewStore fails in the child, and returns the error.
func (c *child) expectFailure() string {
	c.t.Helper()
	c.expect("READY")
	line, failed := strings.CutPrefix(c.next(), "FAILED ")
	require.True(c.t, failed, line)
	return line
}

// kill kills the child and returns the lines that were not read yet.
func (c *child) kill() (rest []string) {
	if c.ended {
		return nil
	}
	_ = c.cmd.Process.Kill()
	return c.end()
}

// terminate asks the child to end and returns the lines that were not read yet.
func (c *child) terminate() (rest []string) {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGTERM))
	return c.end()
}

// end waits for the end of the child and returns the lines that were not read
// yet.
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
			n = int(numbers[0])
		}
	}
	return n
}

// spin lets up to limit pass. A sleep would wake up a turn of the child later.
func spin(limit time.Duration) {
	if limit <= 0 {
		return
	}
	for began, wait := time.Now(), rand.N(limit); time.Since(began) < wait; {
	}
}

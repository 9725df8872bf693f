package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A Member is one server of a cluster, in a process of its own. The process may end while
// the Member stays: Start then starts a new process with the same data.
type Member struct {
	settings settings

	process *process // nil before the first Start
	stopped bool     // by Pause
}

// A process is one run of a member.
type process struct {
	command *exec.Cmd
	orders  io.WriteCloser
	ready   chan struct{} // closed once the server takes part in the cluster
	ended   chan struct{} // closed once the process has ended
}

// Name returns the name of the member in the cluster.
func (m *Member) Name() string { return m.settings.Name }

// Endpoint returns the address at which clients find the member, as HOST:PORT.
func (m *Member) Endpoint() string { return m.settings.Client }

// Log returns what the runs of the member have logged.
func (m *Member) Log() (string, error) {
	text, err := os.ReadFile(m.logPath())
	return string(text), err
}

func (m *Member) logPath() string { return m.settings.Folder + ".log" }

// Start starts the member's process, with the data of the last run if there was one, and
// does not wait for [Member.Ready]. The last process must have ended.
func (m *Member) Start() error {
	if m.running() {
		return fmt.Errorf("member %s runs already", m.Name())
	}
	p, err := startProcess(m.settings, m.logPath())
	if err != nil {
		return fmt.Errorf("start member %s: %w", m.Name(), err)
	}
	m.process, m.stopped = p, false
	return nil
}

// startProcess starts this binary as a member.
func startProcess(s settings, logPath string) (*process, error) {
	command, err := commandOf(s)
	if err != nil {
		return nil, err
	}
	log, err := openLog(logPath)
	if err != nil {
		return nil, err
	}
	// The log goes through a pipe: a member whose disk is full can still say so.
	command.Stderr = struct{ io.Writer }{log}
	p := &process{command: command, ready: make(chan struct{}), ended: make(chan struct{})}
	said, err := p.start()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go p.follow(said, log)
	return p, nil
}

// commandOf returns the command that runs this binary as a member.
func commandOf(s settings) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), memberMark+"="+string(text), "HTTP_PROXY="+s.Gateway, "NO_PROXY=localhost")
	dieWithParent(command)
	return command, nil
}

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// start starts the process, and returns its output.
func (p *process) start() (said io.Reader, err error) {
	if p.orders, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	if said, err = p.command.StdoutPipe(); err != nil {
		return nil, err
	}
	return said, p.command.Start()
}

// follow waits for the process to be ready, and to end.
func (p *process) follow(said io.Reader, log io.Closer) {
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if lines.Text() == readyLine {
			close(p.ready)
		}
	}
	p.command.Wait() // the error tells how the process ended, which the log tells better
	log.Close()
	close(p.ended)
}

func (m *Member) running() bool {
	if m.process == nil {
		return false
	}
	select {
	case <-m.process.ended:
		return false
	default:
		return true
	}
}

// answers reports whether the member is expected to answer.
func (m *Member) answers() bool { return m.running() && !m.stopped }

// Ready waits until the member takes part in the cluster. It returns an error if the
// process ends before.
func (m *Member) Ready(ctx context.Context) error {
	select {
	case <-m.process.ready:
		return nil
	case <-m.process.ended:
		log, _ := m.Log()
		return fmt.Errorf("member %s has ended:\n%s", m.Name(), tail(log))
	case <-ctx.Done():
		return fmt.Errorf("member %s is not ready: %w", m.Name(), context.Cause(ctx))
	}
}

// tail returns the end of a log.
func tail(log string) string { return log[max(0, len(log)-2000):] }

// Kill ends the process as a power switch would: the process cannot prepare. Kill returns
// once the process has ended, and does nothing if it had.
func (m *Member) Kill() error {
	if !m.running() {
		return nil
	}
	if err := m.process.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill member %s: %w", m.Name(), err)
	}
	<-m.process.ended
	return nil
}

// FillDisk has every write of the member to a file fail from now on, as on a disk that is
// full. The error is EFBIG, by a limit on the sizes of the process's files, and not ENOSPC. The
// server treats both alike: it ends at the first write that fails. A Start brings it back with
// a disk that has space. FillDisk returns errors.ErrUnsupported on systems without that limit.
func (m *Member) FillDisk() error {
	if !canFillDisk {
		return fmt.Errorf("fill the disk of member %s: %w", m.Name(), errors.ErrUnsupported)
	}
	if _, err := fmt.Fprintln(m.process.orders, fillLine); err != nil {
		return fmt.Errorf("fill the disk of member %s: %w", m.Name(), err)
	}
	return nil
}

// Ended waits until the process has ended.
func (m *Member) Ended(ctx context.Context) error {
	select {
	case <-m.process.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("member %s goes on: %w", m.Name(), context.Cause(ctx))
	}
}

func (m *Member) heal() error {
	if m.stopped {
		if err := m.Continue(); err != nil {
			return err
		}
	}
	if m.running() {
		return nil
	}
	return m.Start()
}

// settings are what a member's process needs to know.
type settings struct {
	Name         string
	Folder       string
	Client, Peer string // HOST:PORT, where the member listens
	Advertised   string // HOST:PORT, where the other members find it, through their gateways
	Peers        string // of all members, as NAME=URL,…
	Gateway      string // the URL of the proxy through which the member reaches the others
	Quota        int64
}

// The ticks of a member. A follower waits between one and two electionTimeouts for a sign of
// its leader.
const (
	tick            = 50 * time.Millisecond
	electionTimeout = 10 * tick
)

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// workerMark is the variable of the environment that makes this program a worker.
const workerMark = "GENIE_QUICKSTART_WORKER"

func isWorker() bool { return os.Getenv(workerMark) != "" }

// A process is a worker that runs.
type process struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines *bufio.Scanner
}

// start starts a worker, which ends with ctx at the latest.
func start(ctx context.Context, path, folder string, messages io.Writer) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, path, folder)
	cmd.Env = append(os.Environ(), workerMark+"=1")
	cmd.Stderr = messages
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd, in, bufio.NewScanner(out)}, cmd.Start()
}

// owning waits until the worker owns the file.
func (p *process) owning() error {
	_, err := p.next()
	return err
}

// next waits for the next file that the worker has counted.
func (p *process) next() (name string, err error) {
	if !p.lines.Scan() {
		return "", errors.Join(errors.New("the worker has ended"), p.lines.Err())
	}
	return strconv.Unquote(p.lines.Text())
}

// kill ends the worker at once (SIGKILL). It returns the files that the worker had
// counted and next has not returned.
func (p *process) kill() (more []string, err error) {
	if err := p.cmd.Process.Kill(); err != nil {
		return nil, err
	}
	for {
		name, err := p.next()
		if err != nil {
			break
		}
		if name != "" {
			more = append(more, name)
		}
	}
	if err := p.cmd.Wait(); err == nil {
		return nil, errors.New("the worker had ended before it was killed")
	}
	return more, nil
}

// end ends a worker that is still running after an error. Afterwards no process
// writes to the folder any more.
func (p *process) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// finish has the worker close its store and end.
func (p *process) finish() error {
	if err := errors.Join(p.in.Close(), p.cmd.Wait()); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

// refused starts another worker, which must fail, and returns its message.
func refused(ctx context.Context, path, folder string) (message string, err error) {
	var messages strings.Builder
	p, err := start(ctx, path, folder, &messages)
	if err != nil {
		return "", err
	}
	if err := p.finish(); err == nil {
		return "", errors.New("a second worker on the same file was not refused")
	}
	return strings.TrimSpace(messages.String()), nil
}

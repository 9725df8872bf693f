package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/windevkay/forge/genie/bench/measure"
)

// Every measurement runs in a new process of this binary, marked by the variable:
// systems never meet on one heap, and a system that dies or hangs costs one row.
// The job comes in on stdin, the finding leaves on stdout.
const childMark = "GENIE_BENCH_CHILD"

func isChild() bool { return os.Getenv(childMark) != "" }

func serveJob() error {
	answer := os.Stdout
	os.Stdout = os.Stderr // prints of a system must not mix with the answer
	var job measure.Job
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	finding, err := measure.Run(job)
	if err != nil {
		return err
	}
	return json.NewEncoder(answer).Encode(finding)
}

// runJob starts a child for the job and waits for it, up to the job's limit.
func runJob(ctx context.Context, job measure.Job) (measure.Finding, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, job.Limit, fmt.Errorf("no end within %v, killed", job.Limit))
	defer cancel()
	var finding measure.Finding
	var out, errs bytes.Buffer
	command, err := child(ctx, job)
	if err != nil {
		return finding, err
	}
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return finding, reason(ctx, err, errs.String(), job.Dir)
	}
	if err := json.Unmarshal(out.Bytes(), &finding); err != nil {
		return finding, fmt.Errorf("read finding: %w", err)
	}
	return finding, nil
}

func child(ctx context.Context, job measure.Job) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self)
	command.Env = append(os.Environ(), childMark+"=1")
	command.Stdin = bytes.NewReader(text)
	return command, nil
}

// address matches the addresses in a message: they differ from run to run and tell
// a reader nothing.
var address = regexp.MustCompile(` 0x[0-9a-f]+`)

// reason returns why a child failed: its time was up, or the first line of its
// output that names a cause.
func reason(ctx context.Context, err error, said, dir string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	said = strings.ReplaceAll(said, dir+string(os.PathSeparator), "")
	for line := range strings.Lines(said) {
		for _, sign := range []string{"bench: ", "panic: ", "fatal error: ", "unexpected fault address "} {
			if strings.HasPrefix(line, sign) {
				return errors.New(address.ReplaceAllString(strings.TrimSpace(line), ""))
			}
		}
	}
	return err
}

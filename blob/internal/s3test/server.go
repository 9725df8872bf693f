// Package s3test has a real S3 server for the tests of module blob, and a proxy before it that
// goes wrong where a test says so.
package s3test

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Server is an S3 server in a process of its own: versitygw over a folder, as the module
// s3server builds it.
type Server struct {
	// Immutable after Start.
	address  string
	folder   string
	process  *exec.Cmd
	lifeline io.Closer     // the server ends when it is closed, also by the end of this process
	messages *bytes.Buffer // of the server; to be read after its end
}

// Start starts a server with an empty folder. It ends when the test does. The first Start of a
// process builds the server. If that needs a module that is not on this machine, and the
// module proxy cannot be reached, the test is skipped, or fails where the environment has
// GENIE_S3=require.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{folder: tb.TempDir(), messages: new(bytes.Buffer)}
	s.process = exec.Command(program(tb), "-folder", s.folder, "-access", access, "-secret", secret)
	s.process.Stderr = s.messages
	lifeline, err := s.process.StdinPipe()
	require.NoError(tb, err)
	s.lifeline = lifeline
	output, err := s.process.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, s.process.Start())
	tb.Cleanup(func() { s.stop(tb) })
	s.address = addressIn(output)
	if s.address == "" {
		tb.Fatal("the S3 server has not said its address")
	}
	return s
}

// grace is more than the time that the server gives to requests in flight, also on a machine that is busy.
const grace = time.Minute

// stop ends the server, and fails the test if the server does not end in order.
func (s *Server) stop(tb testing.TB) {
	defer time.AfterFunc(grace, func() { _ = s.process.Process.Kill() }).Stop()
	require.NoError(tb, s.lifeline.Close())
	require.NoError(tb, s.process.Wait(), s.messages)
}

// addressIn returns the address that a server prints, or "" if its output ends before.
func addressIn(output io.Reader) string {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if address, found := strings.CutPrefix(lines.Text(), "address="); found {
			return address
		}
	}
	return ""
}

// Address returns the host and port of the server.
func (s *Server) Address() string { return s.address }

// File returns the name of the file that holds an object.
func (s *Server) File(bucket, key string) string {
	return filepath.Join(s.folder, "objects", bucket, filepath.FromSlash(key))
}

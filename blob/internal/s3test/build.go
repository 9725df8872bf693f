package s3test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// The program is built once in a process, and by the first test that needs it.
var (
	built        = sync.OnceValues(func() (string, error) { return build(os.Environ()) })
	buildFolders []string // written by build; removed by Run
)

// Run runs the tests of a package that uses servers, removes the program of the server, and
// returns the exit status, for TestMain.
func Run(m *testing.M) int {
	status := m.Run()
	for _, folder := range buildFolders {
		if err := os.RemoveAll(folder); err != nil {
			fmt.Fprintln(os.Stderr, "s3test:", err)
			status = max(status, 1)
		}
	}
	return status
}

// program returns the file name of the server's program.
func program(tb testing.TB) string {
	tb.Helper()
	name, err := built()
	if mayBeSkipped(err) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return name
}

// mayBeSkipped reports whether a test that could not get the program may be skipped. Where the
// environment has GENIE_S3=require, as in the checks before a change lands, no test may be.
func mayBeSkipped(err error) bool {
	return errors.Is(err, errUnreachable) && os.Getenv("GENIE_S3") != "require"
}

// errUnreachable is given for a build that failed because a module is not on this machine, and
// no module proxy answers.
var errUnreachable = errors.New("the S3 server cannot be built without the module proxy")

// build builds the server in its own module, with this environment.
func build(environment []string) (string, error) {
	module, err := serverModule()
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp("", "s3server")
	if err != nil {
		return "", err
	}
	buildFolders = append(buildFolders, folder)
	name := filepath.Join(folder, "s3server")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	// Without a stamp of the version: git may be missing, or distrust the folder.
	compile := exec.Command("go", "build", "-buildvcs=false", "-o", name, ".")
	compile.Dir = module
	// A workspace or a flag that is for the module under test is not for this one.
	compile.Env = append(environment, "GOWORK=off", "PWD="+module)
	if output, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %w\n%s", causeOf(string(output)), err, output)
	}
	return name, nil
}

var errBuild = errors.New("build the S3 server")

// causeOf tells a build that had no network from one that is at fault. An answer of the proxy,
// such as that a module is not known or has another checksum, is no lack of network.
func causeOf(output string) error {
	for _, sign := range []string{"dial tcp", "module lookup disabled by GOPROXY=off"} {
		if strings.Contains(output, sign) {
			return errUnreachable
		}
	}
	return errBuild
}

// serverModule returns the folder of the server's module, which is beside this package in
// the module of the working folder.
func serverModule() (string, error) {
	output, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/windevkay/forge/genie/blob/internal/s3test").Output()
	if err != nil {
		return "", fmt.Errorf("find the S3 server: %w", err)
	}
	return filepath.Join(filepath.Dir(strings.TrimSpace(string(output))), "s3server"), nil
}

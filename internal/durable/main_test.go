package durable_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie/internal/durable"
)

// childVariable has this binary be a child process of a test.
const childVariable = "GENIE_DURABLE_CHILD"

func TestMain(m *testing.M) {
	if task := os.Getenv(childVariable); task != "" {
		child(task, os.Getenv("GENIE_DURABLE_PATH"))
		return
	}
	goleak.VerifyTestMain(m)
}

// child carries out its task, writes a line with the outcome, and ends when the
// input ends. The errors of the outcome have their kinds in front.
func child(task, path string) {
	switch task {
	case "sleep":
	case "load":
		_, loaded, err := start(durable.OS{}, path)
		report(loaded, err)
	case "backup":
		f, _, err := start(durable.OS{}, path)
		if err == nil {
			err = commit(f, "child's")
		}
		report("", err)
	case "read":
		contents := ""
		report(contents, durable.Read(durable.OS{}, path, readInto(&contents)))
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func report(loaded string, err error) { fmt.Printf("%q %v %v\n", loaded, kinds(err), err) }

// kinds names the sentinels that err is.
func kinds(err error) (names []string) {
	for name, kind := range map[string]error{
		"ErrInUse": durable.ErrInUse, "ErrNotRegular": durable.ErrNotRegular,
		"ErrPermission": fs.ErrPermission, "ErrNotExist": fs.ErrNotExist,
	} {
		if errors.Is(err, kind) {
			names = append(names, name)
		}
	}
	return names
}

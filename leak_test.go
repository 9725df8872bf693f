package genie

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain gives the tests a home folder of their own and ends with a look for
// goroutines that any of them left behind. No option of goleak ignores any.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "genie-home-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("HOME", home)
	os.Setenv("USERPROFILE", home) // Windows
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(home)
		os.Exit(code)
	}))
}

package s3test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A machine without a network may skip the tests. Each other fault of a build must fail them.
func TestBuildWithoutModules(t *testing.T) {
	empty := func(more ...string) []string {
		return append(os.Environ(), append(more, "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw")...)
	}
	t.Run("no network", func(t *testing.T) {
		_, err := build(empty("GOPROXY=http://127.0.0.1:1"))
		require.ErrorIs(t, err, errUnreachable)
	})
	t.Run("proxy switched off", func(t *testing.T) {
		_, err := build(empty("GOPROXY=off"))
		require.ErrorIs(t, err, errUnreachable)
	})
	t.Run("module unknown to the proxy", func(t *testing.T) {
		_, err := build(empty("GOPROXY=file://" + t.TempDir()))
		require.ErrorIs(t, err, errBuild)
		require.NotErrorIs(t, err, errUnreachable)
	})
	t.Run("fault in the build", func(t *testing.T) {
		_, err := build(append(os.Environ(), "GOFLAGS=-no-such-flag"))
		require.ErrorIs(t, err, errBuild)
		require.NotErrorIs(t, err, errUnreachable)
	})
}

// The checks before a change lands must not pass because no test has run.
func TestNoTestIsSkippedWhereS3IsRequired(t *testing.T) {
	for value, skipped := range map[string]bool{"": true, "require": false} {
		t.Setenv("GENIE_S3", value)
		require.Equal(t, skipped, mayBeSkipped(errUnreachable), value)
		require.False(t, mayBeSkipped(errBuild))
		require.False(t, mayBeSkipped(nil))
	}
}

//go:build unix

package crash_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

func newStore(t *testing.T, path string) *genie.Store {
	t.Helper()
	store, err := genie.NewStore(genie.WithPath(path))
	require.NoError(t, err)
	return store
}

// contentsOf describes every file in dir: mode, time of the last write, bytes.
func contentsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := map[string]string{}
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
		files[entry.Name()] = fmt.Sprintf("%v %v %s", info.Mode(), info.ModTime().UnixNano(), data)
	}
	return files
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

func requireNoTemps(t *testing.T, path string) {
	t.Helper()
	names, err := temps(path)
	require.NoError(t, err)
	require.Empty(t, names)
}

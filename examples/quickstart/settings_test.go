package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

func TestBackupsLiveSomewhereOfTheirOwn(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no", "home")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	tests := map[string]struct {
		home  string
		under string // or "" for the temporary folder
	}{
		"home":                {t.TempDir(), "genie-quickstart"},
		"home does not exist": {missing, "genie-quickstart"},
		"home is unset":       {"", ""},
		"home is a file":      {file, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			for _, variable := range []string{"TMPDIR", "TMP", "TEMP"} {
				t.Setenv(variable, temp)
			}
			for variable, value := range homeAt(tt.home) {
				t.Setenv(variable, value)
			}
			tr := newTree(t, map[string]string{"a": "1"})
			requireNews(t, runHere(t.Context(), tr.folder), []string{"a"}, nil, nil)
			requireNews(t, runHere(t.Context(), tr.folder), nil, nil, nil)

			backup, err := backupFor(tr.folder)
			require.NoError(t, err)
			require.FileExists(t, backup)
			if tt.under == "" {
				require.True(t, strings.HasPrefix(backup, temp), backup)
			} else {
				require.True(t, strings.HasPrefix(backup, tt.home), backup)
				require.Equal(t, tt.under, filepath.Base(filepath.Dir(backup)))
			}
			require.NotEqual(t, genie.DefaultFile, filepath.Base(backup))
		})
	}
}

func TestOneFolderHasOneName(t *testing.T) {
	tr := newTree(t, map[string]string{"sub/a": ""})
	t.Chdir(tr.folder)
	names := []string{"", ".", "sub/..", tr.folder, tr.folder + string(filepath.Separator)}
	if runtime.GOOS != "windows" { // where links take a privilege
		link := filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(tr.folder, link))
		names = append(names, link)
	}
	for _, name := range names {
		folder, err := resolve(name)
		require.NoError(t, err)
		require.Equal(t, tr.folder, folder, "%q", name)
	}
}

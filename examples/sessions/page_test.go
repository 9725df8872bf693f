package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// noon is the time of the figures of the tests.
var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// someStats has a different value in each field.
var someStats = genie.Stats{
	Path: "/srv/sessions.json", Entries: 1_234_567, Expiring: 2_345, Source: genie.SourceHandOver, Loaded: 345,
	Writes: 88_017, Unsaved: 17, Saves: 5_001, FailedSaves: 3,
	LastSave:  genie.Save{At: noon.Add(-3 * time.Second), Took: 4567 * time.Microsecond, Bytes: 7_654, Step: true},
	LastError: errors.New("no space left <here>"), LastErrorAt: noon.Add(-65 * time.Second),
	NextBackup: noon.Add(8 * time.Second), ObjectBytes: 9_100_000, StepBytes: 820_000,
}

// pageOf returns the text of the page.
func pageOf(t *testing.T, s genie.Stats, entries []int, saves []genie.Save) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, pageTemplate.Execute(&text, newPage(noon, s, entries, saves)))
	return text.String()
}

func TestPageShowsEveryFigure(t *testing.T) {
	shown := map[string]string{
		"Path": "<dd>/srv/sessions.json</dd>", "Entries": "<dd>1,234,567</dd>", "Expiring": "<dd>2,345</dd>",
		"Source": "from the hand-over file", "Loaded": "<dd>345, from",
		"Writes": "<dd>88,017</dd>", "Unsaved": "<dd>17</dd>", "Saves": "<dd>5,001</dd>", "FailedSaves": "<dd>3</dd>",
		"LastSave":  "<dd>3s ago, at 2030-01-02 11:59:57 UTC: a step of 7.7 kB, which took 4.57ms</dd>",
		"LastError": "no space left &lt;here&gt;", "LastErrorAt": "1m5s ago, at 2030-01-02 11:58:55 UTC",
		"NextBackup": "<dd>in 8s</dd>", "ObjectBytes": "<dd>9.1 MB</dd>", "StepBytes": "<dd>820.0 kB</dd>",
	}
	text, none := pageOf(t, someStats, nil, nil), pageOf(t, genie.Stats{}, nil, nil)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[genie.Stats]()) {
		require.Contains(t, shown, field.Name, "a figure that the page lacks")
		require.Contains(t, text, shown[field.Name], field.Name)
		require.NotContains(t, none, shown[field.Name], "the text is there without the figure")
	}
	require.Contains(t, none, "none since the start")
	require.Contains(t, none, "automatic backups are off")
}

func TestPageWarnsOfAFailedSave(t *testing.T) {
	failing := someStats
	failing.LastErrorAt = noon.Add(-time.Second)
	tests := map[string]struct {
		stats         genie.Stats
		warning, note bool
	}{
		"no failure":          {genie.Stats{}, false, false},
		"failed, then saved":  {someStats, false, true},
		"saved, then failed":  {failing, true, false},
		"failed, never saved": {genie.Stats{LastError: errors.New("x"), LastErrorAt: noon}, true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := pageOf(t, tt.stats, nil, nil)
			require.Equal(t, tt.warning, strings.Contains(text, "Warning: the last save has failed"))
			require.Equal(t, tt.warning, strings.Contains(text, "<title>Saves fail: Genie store</title>"))
			require.Equal(t, tt.note, strings.Contains(text, "A save has failed, and a later one has succeeded"))
			if tt.warning || tt.note {
				require.Less(t, strings.Index(text, `id="failure"`), strings.Index(text, "<dl>"), "not at the top")
			}
		})
	}
}

func TestPageListsTheNewestSaves(t *testing.T) {
	for have, rows := range map[int]int{0: 0, 1: 1, maxRows: maxRows, maxSaves: maxRows} {
		text := pageOf(t, someStats, nil, saved(have))
		require.Equal(t, rows, strings.Count(text, "<tr><td>"))
		require.Equal(t, have, strings.Count(text, "<rect "))
	}
	text := pageOf(t, someStats, nil, saved(maxSaves))
	require.Contains(t, text, "<tbody>\n<tr><td>1970-01-01 00:00:59 UTC</td>", "the newest is the first")
}

func TestPageIsNotKept(t *testing.T) {
	answer := httptest.NewRecorder()
	handler := pageHandler{func() genie.Stats { return someStats }, newHistory(), quiet}
	handler.ServeHTTP(answer, httptest.NewRequest("GET", pagePath, nil))
	require.Equal(t, http.StatusOK, answer.Code)
	require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
	require.Equal(t, "text/html; charset=utf-8", answer.Header().Get("Content-Type"))
	require.Contains(t, answer.Body.String(), `<noscript><meta http-equiv="refresh"`, "no refresh without JavaScript")
}

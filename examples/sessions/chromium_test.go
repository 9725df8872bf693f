package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// chromiumBound is how long a Chromium may take, on a machine that is busy.
const chromiumBound = time.Minute

// chromium returns the path of a Chromium, or skips the test.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("neither chromium nor google-chrome is in PATH: the page is not opened in a browser")
	return ""
}

// open returns the DOM of the page at address after some time of the page. The clock of
// the page is virtual and waits for nothing but answers.
func open(t *testing.T, address string, after time.Duration) string {
	t.Helper()
	path := chromium(t)
	// Chromium may still write as it ends, and TempDir fails a test whose folder it
	// cannot remove, so the profile is in scratch.
	profile, err := os.MkdirTemp(scratch, "chromium-")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), chromiumBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--user-data-dir="+profile, fmt.Sprint("--virtual-time-budget=", after.Milliseconds()),
		"--enable-logging=stderr", "--dump-dom", address)
	cmd.WaitDelay = 5 * time.Second // a process that Chromium has started may keep the pipes open
	var dom, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &dom, &log
	require.NoError(t, cmd.Run(), log.String())
	require.NotContains(t, log.String(), "Uncaught", "an error of the script")
	return dom.String()
}

// A drawing is a chart as the DOM has it.
type drawing struct {
	Role       string     `xml:"role,attr"`
	LabelledBy string     `xml:"aria-labelledby,attr"`
	Title      named      `xml:"title"`
	Text       named      `xml:"desc"`
	Bars       []struct{} `xml:"rect"`
	Line       struct {
		Points string `xml:"points,attr"`
	} `xml:"polyline"`
}

type named struct {
	ID   string `xml:"id,attr"`
	Text string `xml:",chardata"`
}

// drawingIn returns the chart with the id, and requires that its texts name it.
func drawingIn(t *testing.T, dom, id string) (d drawing) {
	t.Helper()
	found := regexp.MustCompile(`(?s)<svg id="` + id + `".*?</svg>`).FindString(dom)
	require.NotEmpty(t, found, dom)
	require.NoError(t, xml.Unmarshal([]byte(found), &d))
	require.Equal(t, "img", d.Role)
	require.Equal(t, d.Title.ID+" "+d.Text.ID, d.LabelledBy)
	require.NotEmpty(t, d.Title.Text)
	require.NotEmpty(t, d.Text.Text)
	return d
}

func TestChartsInChromium(t *testing.T) {
	chromium(t)
	s, past := newSessions(t), newHistory()
	for n := range 7 {
		_, _, err := s.begin(fmt.Sprint("user", n), "")
		require.NoError(t, err)
		past.add(s.store.Stats())
		past.add(s.store.Stats())
	}
	server := httptest.NewServer(newOperatorsHandler(s.store.Stats, past, quiet))
	t.Cleanup(server.Close)
	dom := open(t, server.URL+pagePath, time.Second)
	durations, entries := drawingIn(t, dom, "durations"), drawingIn(t, dom, "entries")
	require.Len(t, durations.Bars, 7, "a bar for each save")
	require.Contains(t, durations.Text.Text, "Saves: 7.")
	require.Len(t, strings.Fields(entries.Line.Points), 14, "a point for each sample")
	require.Contains(t, entries.Text.Text, "Samples: 14,")
	require.Contains(t, dom, "<dd>7</dd>")
	require.NotContains(t, dom, `id="failure"`)
	require.Contains(t, dom, `role="status"></strong>`)
	require.NotContains(t, dom, `id="refresh" hidden`, "the script has not run")
}

// The script loads the figures again every two seconds, and says so when it cannot. It
// then keeps the last figures.
func TestPageIsRefreshedInChromium(t *testing.T) {
	chromium(t)
	var loads atomic.Int64
	stats := func() genie.Stats { return genie.Stats{Entries: 1000 * int(loads.Load())} }
	handler := pageHandler{stats, newHistory(), quiet}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != pagePath { // an icon
			http.NotFound(w, r)
			return
		}
		if loads.Add(1) > 3 {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	dom := open(t, server.URL+pagePath, 7*time.Second)
	require.Contains(t, dom, "<dd>3,000</dd>")
	require.Contains(t, dom, `role="status">The service does not answer.`)
}

var forOperators = regexp.MustCompile(`msg="for operators only" url=(\S+)`)

// TestRunningServiceInChromium looks at the page of a process, before and after the folder
// of the backup is gone, which fails the saves of any user.
func TestRunningServiceInChromium(t *testing.T) {
	skipOnWindows(t)
	chromium(t)
	folder := filepath.Join(t.TempDir(), "backups")
	require.NoError(t, os.Mkdir(folder, 0o700))
	p := startProcess(t, filepath.Join(folder, "sessions.json"))
	base := p.url()
	require.NotEmpty(t, base, p.log.String())
	page := forOperators.FindStringSubmatch(p.log.String())[1]
	for n := range 5 {
		_, ok := loginAs(base, fmt.Sprint("ada", n))
		require.True(t, ok)
	}
	require.True(t, p.poll(func() bool { return strings.Contains(bodyOf(page), "Saves: ") }), "no sample has a save")
	dom := open(t, page, time.Second)
	require.Contains(t, dom, "<dd>5</dd>")
	require.NotContains(t, dom, `id="failure"`)
	requireConsistent(t, dom)

	require.NoError(t, os.Rename(folder, folder+".gone"))
	_, ok := loginAs(base, "bob")
	require.False(t, ok)
	dom = open(t, page, time.Second)
	require.Contains(t, dom, "Warning: the last save has failed")
	require.Contains(t, dom, "no such file or directory")
	require.NotContains(t, dom, "ada")
	requireConsistent(t, dom)
}

// requireConsistent requires as many bars and points as the texts say.
func requireConsistent(t *testing.T, dom string) {
	t.Helper()
	durations, entries := drawingIn(t, dom, "durations"), drawingIn(t, dom, "entries")
	require.NotEmpty(t, durations.Bars)
	require.Contains(t, durations.Text.Text, fmt.Sprintf("Saves: %d.", len(durations.Bars)))
	require.Contains(t, entries.Text.Text, fmt.Sprintf("Samples: %d,", len(strings.Fields(entries.Line.Points))))
}

// bodyOf returns the answer to a request, or "".
func bodyOf(address string) string {
	_, body, _ := send("GET", address, "", nil)
	return body
}

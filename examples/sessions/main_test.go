package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie"
)

var (
	environment = os.Environ() // as it was before TestMain
	scratch     string         // a folder for all tests, removed at the end
)

// TestMain gives the tests an empty home folder, and fails if goroutines remain
// after the tests.
func TestMain(m *testing.M) {
	var err error
	scratch, err = os.MkdirTemp("", "sessions-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for name, value := range homeAt(filepath.Join(scratch, "home")) {
		os.Setenv(name, value)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(scratch)
		os.Exit(code)
	}))
}

// homeAt returns the environment variables that put a user's home and cache at
// home, for all systems.
func homeAt(home string) map[string]string {
	return map[string]string{
		"HOME": home, "USERPROFILE": home, "XDG_CACHE_HOME": "", "LocalAppData": home,
	}
}

var quiet = slog.New(slog.DiscardHandler)

// newSessions returns sessions in a store without automatic backups.
func newSessions(t *testing.T) sessions {
	t.Helper()
	store, err := genie.NewStore(genie.WithPath(filepath.Join(t.TempDir(), "sessions.json")), genie.WithJournal())
	require.NoError(t, err)
	return sessions{store, time.Hour}
}

// runOn is run with a listener of the test, and without operators.
func runOn(ctx context.Context, listener net.Listener, s settings, log *slog.Logger) error {
	return withStore(ctx, s, log, func(store *genie.Store) error {
		return serve(ctx, listeners{public: listener}, sessions{store, s.lifetime}, log)
	})
}

// startService serves the sessions in backup. stop ends the service as a signal
// would; the end of the test calls stop again.
func startService(t *testing.T, backup string) (base string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1) // the test may fail before it calls stop
	go func() {
		served <- runOn(ctx, listener, settings{backup: backup, lifetime: time.Hour, every: time.Minute}, quiet)
		close(served)
	}()
	stop = func() {
		cancel()
		require.NoError(t, <-served)
	}
	t.Cleanup(stop)
	return "http://" + listener.Addr().String(), stop
}

// A browser is a client that keeps its cookies.
type browser struct {
	*http.Client
	t *testing.T
}

func newBrowser(t *testing.T) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return browser{&http.Client{Jar: jar, Transport: transport}, t}
}

// at returns base in the form in which the cookie jar needs the address.
func (b browser) at(base string) *url.URL {
	u, err := url.Parse(base)
	require.NoError(b.t, err)
	return u
}

func (b browser) answer(r *http.Response, err error) (code int, body string) {
	b.t.Helper()
	require.NoError(b.t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(b.t, err)
	return r.StatusCode, string(text)
}

func (b browser) login(base, user string) {
	b.t.Helper()
	code, body := b.answer(b.PostForm(base+"/login", url.Values{"user": {user}}))
	require.Equal(b.t, http.StatusOK, code, body)
}

func (b browser) logout(base string) {
	b.t.Helper()
	code, body := b.answer(b.PostForm(base+"/logout", nil))
	require.Equal(b.t, http.StatusNoContent, code, body)
}

// me returns the name of the user who is logged in, or "".
func (b browser) me(base string) string {
	b.t.Helper()
	code, body := b.answer(b.Get(base + "/me"))
	if code == http.StatusUnauthorized {
		return ""
	}
	require.Equal(b.t, http.StatusOK, code, body)
	var found session
	require.NoError(b.t, json.Unmarshal([]byte(body), &found))
	require.True(b.t, found.Expires.After(time.Now()), body)
	return found.User
}

func (b browser) requireCount(base string, want int) {
	b.t.Helper()
	code, body := b.answer(b.Get(base + "/sessions"))
	require.Equal(b.t, http.StatusOK, code)
	require.JSONEq(b.t, fmt.Sprintf(`{"sessions": %d}`, want), body)
}

// newFlags are flags that return their errors.
func newFlags() *flag.FlagSet {
	flags := flag.NewFlagSet("sessions", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

func TestParse(t *testing.T) {
	s, err := parse(newFlags(), nil)
	require.NoError(t, err)
	require.DirExists(t, filepath.Dir(s.backup))
	require.NotEqual(t, genie.DefaultFile, filepath.Base(s.backup))
	s.backup = ""
	require.Equal(t, settings{"127.0.0.1:8080", "127.0.0.1:0", "", 30 * time.Minute, 5 * time.Second}, s)

	s, err = parse(newFlags(), []string{"-listen", ":0", "-debug-addr", "", "-backup", "b", "-lifetime", "1h", "-every", "1m"})
	require.NoError(t, err)
	require.Equal(t, settings{":0", "", "b", time.Hour, time.Minute}, s)

	for _, wrong := range [][]string{{"-x"}, {"-every", "0"}, {"-lifetime", "-1s"}} {
		_, err = parse(newFlags(), wrong)
		require.Error(t, err, "%v", wrong)
	}
	for name := range homeAt("") {
		t.Setenv(name, "")
	}
	_, err = parse(newFlags(), nil)
	require.ErrorContains(t, err, "choose a file with -backup")
}

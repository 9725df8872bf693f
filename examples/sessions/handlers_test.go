package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

func newServer(t *testing.T) (base string, s sessions) {
	t.Helper()
	s = newSessions(t)
	server := httptest.NewServer(newHandler(s, quiet))
	t.Cleanup(server.Close)
	return server.URL, s
}

func TestLoginMeLogout(t *testing.T) {
	base, _ := newServer(t)
	ada, bob := newBrowser(t), newBrowser(t)
	require.Empty(t, ada.me(base))
	ada.login(base, "ada")
	bob.login(base, "bob")
	require.Equal(t, "ada", ada.me(base))
	require.Equal(t, "bob", bob.me(base))
	ada.requireCount(base, 2)

	ada.login(base, "ada lovelace")
	require.Equal(t, "ada lovelace", ada.me(base))
	ada.requireCount(base, 2)

	stolen := ada.Jar.Cookies(ada.at(base))
	ada.logout(base)
	require.Empty(t, ada.Jar.Cookies(ada.at(base)))
	ada.Jar.SetCookies(ada.at(base), stolen)
	require.Empty(t, ada.me(base), "the token is worth nothing any more")
	ada.logout(base)
	require.Equal(t, "bob", bob.me(base))
	bob.requireCount(base, 1)
}

func TestCookieIsForTheServiceOnly(t *testing.T) {
	base, _ := newServer(t)
	b := newBrowser(t)
	r, err := b.PostForm(base+"/login", url.Values{"user": {"ada"}})
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	c := r.Cookies()[0]
	require.True(t, c.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, c.SameSite)
	require.Equal(t, "/", c.Path)
}

func TestRefusals(t *testing.T) {
	base, s := newServer(t)
	tests := map[string]struct {
		method, path, body string
		header             http.Header
		want               int
	}{
		"no user":       {"POST", "/login", "", nil, http.StatusBadRequest},
		"not UTF-8":     {"POST", "/login", "user=%ff", nil, http.StatusBadRequest},
		"too long":      {"POST", "/login", "user=" + strings.Repeat("x", maxBody), nil, http.StatusBadRequest},
		"login by GET":  {"GET", "/login?user=ada", "", nil, http.StatusMethodNotAllowed},
		"user in query": {"POST", "/login?user=ada", "", nil, http.StatusBadRequest},
		"other site":    {"POST", "/login", "user=ada", http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		"no cookie":     {"GET", "/me", "", nil, http.StatusUnauthorized},
		"false token":   {"GET", "/me", "", http.Header{"Cookie": {"session=x"}}, http.StatusUnauthorized},
		"unknown path":  {"GET", "/", "", nil, http.StatusNotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(tt.method, base+tt.path, strings.NewReader(tt.body))
			require.NoError(t, err)
			if tt.header != nil {
				r.Header = tt.header
			}
			if tt.method == "POST" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			b := newBrowser(t)
			code, body := b.answer(b.Do(r))
			require.Equal(t, tt.want, code, body)
		})
	}
	require.Zero(t, s.count())
}

func TestConcurrentLogins(t *testing.T) {
	const users, each = 16, 20
	base, s := newServer(t)
	var tokens sync.Map
	var logins sync.WaitGroup
	for u := range users {
		b, name := newBrowser(t), fmt.Sprint("user", u)
		logins.Go(func() {
			for range each {
				b.Jar.SetCookies(b.at(base), []*http.Cookie{{Name: cookieName, MaxAge: -1}})
				b.login(base, name)
				if got := b.me(base); got != name {
					t.Errorf("%s is taken for %q", name, got)
				}
				if _, twice := tokens.LoadOrStore(b.Jar.Cookies(b.at(base))[0].Value, name); twice {
					t.Error("a token was given out twice")
				}
			}
		})
	}
	logins.Wait()
	require.Equal(t, users*each, s.count())
}

func TestBackupIsADownload(t *testing.T) {
	base, s := newServer(t)
	for u := range 3000 {
		s.store.SetWithTTL(keyOf(fmt.Sprint(u)), fmt.Sprint("user", u), s.lifetime)
	}
	b := newBrowser(t)
	b.login(base, "ada")
	r, err := b.Get(base + "/backup")
	require.NoError(t, err)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.Equal(t, `attachment; filename="sessions.json"`, r.Header.Get("Content-Disposition"))
	require.EqualValues(t, -1, r.ContentLength, "streamed, so the length is unknown")
	_, text := b.answer(r, nil)

	var entries map[string]entry
	require.NoError(t, json.Unmarshal([]byte(text), &entries))
	users := make(map[string]string)
	for key, e := range entries {
		users[key] = e.Value
		require.WithinDuration(t, time.Now().Add(s.lifetime), e.Expires, time.Minute)
	}
	require.Equal(t, s.store.Snapshot(), users)

	// The download is an ordinary backup: a service that loads the file has the
	// sessions.
	file := filepath.Join(t.TempDir(), "restored.json")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	store, err := genie.NewStore(genie.WithPath(file))
	require.NoError(t, err)
	found, ok := sessions{store, s.lifetime}.use(b.Jar.Cookies(b.at(base))[0].Value)
	require.True(t, ok)
	require.Equal(t, "ada", found.User)
}

// A torn connection breaks after some bytes.
type torn struct{ *httptest.ResponseRecorder }

func (torn) Write([]byte) (int, error) { return 0, syscall.ECONNRESET }

func TestDownloadCutOffDoesNotLookWhole(t *testing.T) {
	handler := newHandler(newSessions(t), quiet)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		handler.ServeHTTP(torn{httptest.NewRecorder()}, httptest.NewRequest("GET", "/backup", nil))
	})
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bound is how long a process may take for anything.
const bound = 20 * time.Second

var listening = regexp.MustCompile(`msg=listening url=(\S+)`)

// program compiles the command once and returns the path of the binary.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "sessions.exe") // the suffix is for Windows
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = environment // the caches of the go command are in the user's home
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// An output collects the log of a process while the test reads the log.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// A process is the program as a user runs it.
type process struct {
	*exec.Cmd
	log   output
	ended chan struct{} // closed after err is written
	err   error
}

// startProcess starts the program on backup. The end of the test kills a process
// that still runs.
func startProcess(t *testing.T, backup string, options ...string) *process {
	t.Helper()
	return startOn(t, runtime.GOMAXPROCS(0), backup, options...)
}

// startOn is startProcess with a number of processors.
func startOn(t *testing.T, procs int, backup string, options ...string) *process {
	t.Helper()
	path, err := program()
	require.NoError(t, err)
	args := append([]string{"-listen", "127.0.0.1:0", "-backup", backup, "-every", "20ms"}, options...)
	p := &process{Cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", procs))
	p.Stderr = &p.log
	require.NoError(t, p.Start())
	go func() {
		defer close(p.ended)
		p.err = p.Wait()
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
	})
	return p
}

// poll calls done until done returns true. poll returns false if the process ends
// before, or exceeds bound.
func (p *process) poll(done func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(bound)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			return false
		case <-p.ended:
			return done()
		}
	}
	return true
}

// url returns the address of the process once the process listens, or "" if the
// process ends before.
func (p *process) url() string {
	var found []string
	p.poll(func() bool {
		found = listening.FindStringSubmatch(p.log.String())
		return found != nil
	})
	if found == nil {
		return ""
	}
	return found[1]
}

// stop sends sig and returns the error of the process. A process that does not
// end fails the test, with the stacks of all goroutines.
func (p *process) stop(t *testing.T, sig os.Signal) error {
	t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		require.ErrorIs(t, err, os.ErrProcessDone)
	}
	select {
	case <-p.ended:
	case <-time.After(bound):
		_ = p.Process.Signal(syscall.SIGQUIT)
		p.poll(func() bool { return false })
		require.Fail(t, "the process does not end", p.log.String())
	}
	return p.err
}

func skipOnWindows(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signal to stop another process")
	}
}

// TestCommandIsKilledUnderLoad kills the process while browsers log in and out. Each
// process has every login and logout that the ones before it have answered.
func TestCommandIsKilledUnderLoad(t *testing.T) {
	backup := filepath.Join(t.TempDir(), "sessions.json")
	rounds := 4
	if os.Getenv("GENIE_LONG") != "" {
		rounds = 40
	}
	answered := map[string]string{} // the user of each token, "" after a logout
	for round := range rounds {
		p := startProcess(t, backup)
		base := p.url()
		require.NotEmpty(t, base, p.log.String())
		for token, user := range answered {
			require.Equal(t, user, whoIs(t, base, token))
		}
		var mu sync.Mutex
		var clients sync.WaitGroup
		for c := range 4 {
			clients.Go(func() {
				for n := 0; ; n++ {
					user := fmt.Sprint("user", round, c, n)
					token, ok := loginAs(base, user)
					if !ok {
						return
					}
					out := n%3 == 0
					if out && !logoutOf(base, token) {
						return // the process may have logged out, or not
					}
					mu.Lock()
					if answered[token] = user; out {
						answered[token] = ""
					}
					mu.Unlock()
				}
			})
		}
		require.True(t, p.poll(func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(answered) >= (round+1)*30
		}))
		require.Error(t, p.stop(t, os.Kill))
		clients.Wait()
	}
	base := startProcess(t, backup).url()
	for token, user := range answered {
		require.Equal(t, user, whoIs(t, base, token))
	}
	t.Logf("%d logins answered, %d kills", len(answered), rounds)
}

// send makes a request with the cookie of token, and returns the answer if there is one.
func send(method, address, token string, form url.Values) (*http.Response, string, bool) {
	request, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", false
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.AddCookie(&http.Cookie{Name: cookieName, Value: token})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: bound}
	r, err := client.Do(request)
	if err != nil {
		return nil, "", false
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r, string(body), err == nil
}

func loginAs(base, user string) (token string, ok bool) {
	r, _, ok := send("POST", base+"/login", "", url.Values{"user": {user}})
	if !ok || r.StatusCode != http.StatusOK {
		return "", false
	}
	return r.Cookies()[0].Value, true
}

func logoutOf(base, token string) bool {
	r, _, ok := send("POST", base+"/logout", token, nil)
	return ok && r.StatusCode == http.StatusNoContent
}

// whoIs returns the user of token, or "" if the session has ended.
func whoIs(t *testing.T, base, token string) string {
	t.Helper()
	r, body, ok := send("GET", base+"/me", token, nil)
	require.True(t, ok)
	if r.StatusCode == http.StatusUnauthorized {
		return ""
	}
	var found session
	require.NoError(t, json.Unmarshal([]byte(body), &found))
	return found.User
}

// residents are the sessions that a backup has before a test.
const residents = 20_000

// An entry is a session as a backup has it.
type entry struct {
	Value   string    `json:"value"`
	Expires time.Time `json:"expires"`
}

// writeResidents writes a backup of residents sessions, and returns its entries.
func writeResidents(t *testing.T, backup string) map[string]entry {
	t.Helper()
	entries := make(map[string]entry, residents)
	for i := range residents {
		entries[keyOf(fmt.Sprint(i))] = entry{"resident", time.Now().Add(time.Hour).UTC()}
	}
	text, err := json.Marshal(entries)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(backup, text, 0o600))
	return entries
}

// requireSaved requires that backup has all residents and a session of each user.
// It counts, since decoding takes longer than the program.
func requireSaved(t *testing.T, backup string, users []string) {
	t.Helper()
	text, err := os.ReadFile(backup)
	require.NoError(t, err)
	require.Equal(t, residents, bytes.Count(text, []byte(`"resident"`)))
	for _, user := range users {
		require.Equal(t, 1, bytes.Count(text, []byte(`"`+user+`"`)), user)
	}
}

// tryLogin reports whether the process has answered a login. A process that stops
// refuses connections.
func tryLogin(p *process, user string) bool {
	base := p.url()
	if base == "" {
		return false
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: bound}
	r, err := client.PostForm(base+"/login", url.Values{"user": {user}})
	if err != nil {
		return false
	}
	return r.Body.Close() == nil && r.StatusCode == http.StatusOK
}

// TestCommandIsStoppedAtAnyMoment sends SIGTERM before main runs, during the
// load, during the first request, during backups and between. Each process loads
// the file of its predecessor, so a loss by one of them shows at the end too.
func TestCommandIsStoppedAtAnyMoment(t *testing.T) {
	skipOnWindows(t)
	_, err := program() // compiling must not count as the time to be ready
	require.NoError(t, err)
	moments := 16
	if os.Getenv("GENIE_LONG") != "" {
		moments = 400
	}
	for procs := range 2 {
		t.Run(fmt.Sprint("GOMAXPROCS=", procs+1), func(t *testing.T) {
			backup := filepath.Join(t.TempDir(), "sessions.json")
			want := writeResidents(t, backup)

			start := time.Now()
			p := startOn(t, procs+1, backup)
			require.NotEmpty(t, p.url(), p.log.String())
			ready := time.Since(start)
			require.NoError(t, p.stop(t, syscall.SIGTERM), p.log.String())

			var users []string
			for i := range moments {
				user := fmt.Sprint("user", i)
				if stopAfter(t, startOn(t, procs+1, backup), 3*ready/2*time.Duration(i)/time.Duration(moments), user) {
					users = append(users, user)
				}
				requireSaved(t, backup, users)
			}
			t.Logf("ready after %v, %d logins answered", ready, len(users))
			requireEntries(t, backup, want)
		})
	}
}

// stopAfter stops p after delay, while user tries to log in. It reports whether the
// login was answered.
func stopAfter(t *testing.T, p *process, delay time.Duration, user string) (answered bool) {
	t.Helper()
	moment := time.After(delay)
	var login sync.WaitGroup
	login.Go(func() { answered = tryLogin(p, user) })
	<-moment
	err := p.stop(t, syscall.SIGTERM)
	login.Wait()
	if text := p.log.String(); text != "" {
		require.NoError(t, err, "delay %v: %s", delay, text)
	} // otherwise the signal came before main, which then kills the process
	return answered
}

// requireEntries requires that the backup has every entry of want, unchanged.
func requireEntries(t *testing.T, backup string, want map[string]entry) {
	t.Helper()
	text, err := os.ReadFile(backup)
	require.NoError(t, err)
	var got map[string]entry
	require.NoError(t, json.Unmarshal(text, &got))
	for key := range got {
		if _, ok := want[key]; !ok {
			delete(got, key)
		}
	}
	require.True(t, maps.Equal(want, got))
}

// TestCommandHandsOver starts a second process while the first still serves.
func TestCommandHandsOver(t *testing.T) {
	skipOnWindows(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())
	for name, address := range map[string]string{
		"same address":  free.Addr().String(),
		"two addresses": "127.0.0.1:0",
	} {
		t.Run(name, func(t *testing.T) {
			backup := filepath.Join(t.TempDir(), "sessions.json")
			first := startProcess(t, backup, "-listen", address)
			base := first.url()
			b := newBrowser(t)
			b.login(base, "ada")

			second := startProcess(t, backup, "-listen", address)
			require.True(t, second.poll(func() bool {
				return strings.Contains(second.log.String(), "waiting for the backup file")
			}), second.log.String())
			require.NotContains(t, second.log.String(), "listening", "two processes with one file")
			b.login(base, "bob") // the first still serves
			cookies := b.Jar.Cookies(b.at(base))
			require.NoError(t, first.stop(t, os.Interrupt), first.log.String())

			base = second.url()
			require.NotEmpty(t, base, second.log.String())
			b.Jar.SetCookies(b.at(base), cookies)
			require.Equal(t, "bob", b.me(base))
			b.logout(base)
			require.NoError(t, second.stop(t, os.Interrupt), second.log.String())
			text, err := os.ReadFile(backup)
			require.NoError(t, err)
			require.JSONEq(t, "{}", string(text))
		})
	}
}

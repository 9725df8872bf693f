package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"
	"unicode/utf8"
)

// handlers answer the requests.
type handlers struct {
	sessions sessions
	log      *slog.Logger
}

const (
	cookieName = "session"

	// maxBody bounds the form of a login, with room for a long name.
	maxBody = 4 << 10

	// backupTime bounds a download, which takes longer than any other answer.
	backupTime = 5 * time.Minute
)

func newHandler(s sessions, log *slog.Logger) http.Handler {
	h := handlers{s, log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", h.login)
	mux.HandleFunc("POST /logout", h.logout)
	mux.HandleFunc("GET /me", h.me)
	mux.HandleFunc("GET /sessions", h.count)
	mux.HandleFunc("GET /backup", h.backup)
	// The pages of another site must not log their visitors in or out here.
	return http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, maxBody))
}

// login accepts every user without a password: passwords are not the subject of
// this example.
func (h handlers) login(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	if user == "" || !utf8.ValidString(user) { // encoding/json would merge names by replacing bytes
		http.Error(w, "a user is needed", http.StatusBadRequest)
		return
	}
	token, begun, err := h.sessions.begin(user, tokenOf(r))
	if err != nil {
		h.fail(w, "login", err)
		return
	}
	http.SetCookie(w, cookie(r, token))
	h.log.Info("login", "user", user)
	h.answer(w, begun)
}

func (h handlers) me(w http.ResponseWriter, r *http.Request) {
	found, ok := h.sessions.use(tokenOf(r))
	if !ok {
		http.Error(w, "not logged in", http.StatusUnauthorized)
		return
	}
	h.answer(w, found)
}

func (h handlers) logout(w http.ResponseWriter, r *http.Request) {
	if err := h.sessions.end(tokenOf(r)); err != nil {
		h.fail(w, "logout", err)
		return
	}
	gone := cookie(r, "")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	w.WriteHeader(http.StatusNoContent)
}

// fail answers that the sessions cannot be saved. The login or logout counts until the
// process ends, and the client may try again.
func (h handlers) fail(w http.ResponseWriter, what string, err error) {
	h.log.Error(what, "error", err)
	http.Error(w, "the sessions cannot be saved", http.StatusInternalServerError)
}

// count and backup are for the operators of the service. This example answers
// every client; a real service would check for an operator first.
func (h handlers) count(w http.ResponseWriter, _ *http.Request) {
	h.answer(w, map[string]int{"sessions": h.sessions.count()})
}

// backup sends all sessions of one moment, directly from the store, without a
// copy in memory and without a file. Logins continue during a download.
func (h handlers) backup(w http.ResponseWriter, _ *http.Request) {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(backupTime)); err != nil {
		h.log.Warn("a long download may be cut off", "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="sessions.json"`)
	if _, err := h.sessions.store.WriteTo(w); err != nil {
		h.log.Warn("download", "error", err)
		panic(http.ErrAbortHandler) // without it, the client would mistake a part for the whole
	}
}

func (h handlers) answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		h.log.Warn("answer", "error", err)
	}
}

// tokenOf returns the token of the request, or "", which no session has.
func tokenOf(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	return c.Value
}

// cookie returns a cookie without an expiry time, because the service decides
// when a session expires.
func cookie(r *http.Request, token string) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: token, Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	}
}

package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/windevkay/forge/genie"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// maxRows are the saves that the page has in words.
const maxRows = 10

// A page is all that the page for operators shows.
type page struct {
	Now      string
	Failure  *failure // nil if no save has failed
	Groups   []group
	Rows     []row // the newest saves, the newest first
	Duration chart
	Entries  chart
}

// A failure is the newest save that has failed.
type failure struct {
	Lasts bool // no save has succeeded since
	When  string
	Error string
	Lost  string // the writes that a crash would lose
}

type group struct {
	Title   string
	Figures []figure
}

type figure struct{ Name, Value string }

type row struct{ When, Ago, Kind, Took, Bytes string }

// A pageHandler answers with the page. The page is for operators and must not be
// public: see newOperatorsHandler. It has figures, times, the path of the backup file
// and the error of a save, and neither keys nor values.
type pageHandler struct {
	stats func() genie.Stats
	past  *history
	log   *slog.Logger
}

func (h pageHandler) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	entries, saves := h.past.all()
	var text bytes.Buffer // so that an error is not half a page
	if err := pageTemplate.Execute(&text, newPage(time.Now(), h.stats(), entries, saves)); err != nil {
		h.log.Error("page for operators", "error", err)
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if _, err := text.WriteTo(w); err != nil {
		h.log.Warn("page for operators", "error", err)
	}
}

func newPage(now time.Time, s genie.Stats, entries []int, saves []genie.Save) page {
	return page{
		Now:      clock(now),
		Failure:  failureIn(now, s),
		Groups:   []group{aboutEntries(s), aboutSaves(now, s), aboutFile(s)},
		Rows:     rowsOf(now, saves),
		Duration: chartOfSaves(saves),
		Entries:  chartOfEntries(entries),
	}
}

func failureIn(now time.Time, s genie.Stats) *failure {
	if s.LastError == nil {
		return nil
	}
	return &failure{
		Lasts: s.LastErrorAt.After(s.LastSave.At),
		When:  at(now, s.LastErrorAt),
		Error: s.LastError.Error(),
		Lost:  number(s.Unsaved),
	}
}

func aboutEntries(s genie.Stats) group {
	return group{"Entries", []figure{
		{"Entries in memory", number(s.Entries)},
		{"Entries with a deadline, some perhaps past it and not removed yet", number(s.Expiring)},
		{"Entries loaded at the start", fmt.Sprintf("%s, from %s", number(s.Loaded), origin(s.Source))},
	}}
}

func aboutSaves(now time.Time, s genie.Stats) group {
	return group{"Saves", []figure{
		{"Last successful save", lastSave(now, s.LastSave)},
		{"Writes since the start", number(s.Writes)},
		{"Writes since the last save, which a crash would lose", number(s.Unsaved)},
		{"Next automatic backup", nextBackup(now, s.NextBackup)},
		{"Saves that succeeded since the start", number(s.Saves)},
		{"Saves that failed since the start", number(s.FailedSaves)},
	}}
}

func aboutFile(s genie.Stats) group {
	return group{"Backup file", []figure{
		{"Path", s.Path},
		{"Whole backup in the file", bytesOf(s.ObjectBytes)},
		{"Steps behind it, with the changes since", bytesOf(s.StepBytes)},
	}}
}

func rowsOf(now time.Time, saves []genie.Save) (rows []row) {
	for _, save := range slices.Backward(saves[max(0, len(saves)-maxRows):]) {
		rows = append(rows, row{clock(save.At), ago(now, save.At), kind(save), short(save.Took), bytesOf(save.Bytes)})
	}
	return rows
}

func origin(s genie.Source) string {
	switch s {
	case genie.SourceBackup:
		return "the backup file"
	case genie.SourceHandOver:
		return "the hand-over file: the program before ended without a backup"
	default:
		return "no file"
	}
}

func lastSave(now time.Time, save genie.Save) string {
	if save.At.IsZero() {
		return "none since the start"
	}
	return fmt.Sprintf("%s: %s of %s, which took %s", at(now, save.At), kind(save), bytesOf(save.Bytes), short(save.Took))
}

func nextBackup(now, due time.Time) string {
	if due.IsZero() {
		return "none: automatic backups are off"
	}
	return in(now, due)
}

func kind(save genie.Save) string {
	if save.Step {
		return "a step"
	}
	return "a whole backup"
}

// describe returns a save in words.
func describe(save genie.Save) string {
	return fmt.Sprintf("%s: %s of %s, %s", clock(save.At), kind(save), bytesOf(save.Bytes), short(save.Took))
}

func at(now, t time.Time) string { return ago(now, t) + ", at " + clock(t) }

// Command sessions is a small web service that remembers who is logged in, across
// restarts and crashes.
//
//	go run ./examples/sessions
//
//	curl -c jar -d user=ada http://127.0.0.1:8080/login     begins a session
//	curl -b jar http://127.0.0.1:8080/me                    who is it
//	curl -b jar -X POST http://127.0.0.1:8080/logout        ends it
//	curl http://127.0.0.1:8080/sessions                     how many there are
//	curl -OJ http://127.0.0.1:8080/backup                   a backup, to keep elsewhere
//
// Stop it with ctrl-C, or kill it, and start it again: whoever was logged in still
// is.
//
// Where to look first: sessions.go for reading and writing a store, service.go for
// its life from NewStore to Close.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second ctrl-C ends the program at once
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := parse(flag.NewFlagSet("sessions", flag.ExitOnError), os.Args[1:])
	if err == nil {
		err = run(ctx, s, log)
	}
	if err != nil {
		log.Error("stopped", "error", err)
		os.Exit(1)
	}
	log.Info("stopped")
}

// settings are what the command line says.
type settings struct {
	listen   string
	backup   string
	lifetime time.Duration // of a session that is not used
	every    time.Duration // between automatic backups
}

func parse(flags *flag.FlagSet, args []string) (settings, error) {
	var s settings
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` to serve")
	flags.StringVar(&s.backup, "backup", "", "keep the sessions in this `file` (default: one in the user's cache)")
	flags.DurationVar(&s.lifetime, "lifetime", 30*time.Minute, "how long a session lasts after its last use")
	flags.DurationVar(&s.every, "every", 5*time.Second, "how often to back up")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.every <= 0 || s.lifetime <= 0 {
		return s, errors.New("-every and -lifetime must be positive")
	}
	var err error
	if s.backup == "" {
		s.backup, err = defaultBackup()
	}
	return s, err
}

// defaultBackup returns a file of this program's own: the default of
// genie.NewStore may hold another program's data.
func defaultBackup() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the backup: %w; name one with -backup", err)
	}
	dir := filepath.Join(cache, "genie-sessions")
	return filepath.Join(dir, "sessions.json"), os.MkdirAll(dir, 0o700)
}

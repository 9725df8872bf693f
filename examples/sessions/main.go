// Command sessions is a small web service that keeps its users logged in across
// restarts and crashes.
//
//	cd examples/sessions && go run .
//
//	curl -c jar -d user=ada http://127.0.0.1:8080/login     begins a session
//	curl -b jar http://127.0.0.1:8080/me                    shows the user
//	curl -b jar -X POST http://127.0.0.1:8080/logout        ends the session
//	curl http://127.0.0.1:8080/sessions                     counts the sessions
//	curl -OJ http://127.0.0.1:8080/backup                   downloads a backup
//
// A second address is for operators only. The log has it, and -debug-addr sets it:
//
//	/debug/genie    shows the figures of the store, and how its saves went, to a person
//	/metrics        shows the figures to Prometheus
//
// Stop the service in any way and start it again: all sessions are back. The service
// answers a login or a logout once the disk has it, so a kill, a crash or a power cut
// loses none. It may lose renewals of sessions since the last backup began.
//
// Only one process at a time can use a backup file. A second service may start
// while the first is stopping, on another address or on the address of the first:
// the second waits for the file and only then listens.
//
// Where to look first: sessions.go reads and writes a store, store.go shows the
// life of a store from NewStore to Close, and metrics.go reads its Stats. The
// example is a module of its own, so that the client library of Prometheus stays out
// of the library's dependencies.
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
	context.AfterFunc(ctx, stop) // a second ctrl-C ends the program at once
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

// settings are the values of the command line.
type settings struct {
	listen   string
	debug    string // the operators' address, or "" for none
	backup   string
	lifetime time.Duration // of a session, from its last use
	every    time.Duration // between automatic backups
}

func parse(flags *flag.FlagSet, args []string) (settings, error) {
	var s settings
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` to serve")
	flags.StringVar(&s.debug, "debug-addr", "127.0.0.1:0", "`address` for operators, which must not be public; port 0 is any free port, and an empty address none")
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

// defaultBackup returns a path that only this program uses, and creates its
// folder. The default path of genie.NewStore may hold another program's data.
func defaultBackup() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the backup: %w; choose a file with -backup", err)
	}
	dir := filepath.Join(cache, "genie-sessions")
	return filepath.Join(dir, "sessions.json"), os.MkdirAll(dir, 0o700)
}

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/windevkay/forge/genie/blob"
)

// A progress prints how far a long transfer is: one line that changes, on a terminal, and
// elsewhere a line now and then.
type progress struct {
	to       io.Writer
	terminal bool
	quiet    bool // nothing is printed
	every    time.Duration
	next     time.Time   // when the next line is due
	began    time.Time   // of the transfer
	action   blob.Action // of the transfer
	name     string      // of the transfer
	pending  bool        // a line of a terminal has no end yet
}

// Transfers that end sooner print nothing.
const (
	everyOnTerminal = time.Second / 2
	everyElsewhere  = 10 * time.Second
)

func newProgress(to io.Writer) *progress {
	p := &progress{to: to, every: everyElsewhere}
	if file, ok := to.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.terminal, p.every = true, everyOnTerminal
		}
	}
	return p
}

// show prints a line, if one is due. One goroutine at a time transfers.
func (p *progress) show(now blob.Progress) {
	if now.Action != p.action || now.Name != p.name {
		p.action, p.name, p.began = now.Action, now.Name, time.Now()
		p.next = p.began.Add(p.every)
	}
	if p.quiet || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(p.every)
	begin, end := "", "\n"
	if p.terminal {
		begin, end = "\r\x1b[K", ""
		p.pending = true
	}
	fmt.Fprint(p.to, begin, p.line(now), end)
}

// line says how far a transfer is.
func (p *progress) line(now blob.Progress) string {
	line := fmt.Sprintf("%s: %s", now.Action, size(now.Bytes))
	if now.Total > 0 {
		line += fmt.Sprintf(" of %s, %d %%", size(now.Total), 100*now.Bytes/now.Total)
	}
	rate := float64(now.Bytes) / time.Since(p.began).Seconds()
	return line + fmt.Sprintf(", %s/s", size(int64(rate)))
}

// end takes the line of a terminal off.
func (p *progress) end() {
	if p.pending {
		p.pending = false
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// size returns a number of bytes with a unit that a person reads.
func size(bytes int64) string {
	const kilo = 1000
	if bytes < kilo {
		return fmt.Sprint(bytes, " B")
	}
	value, unit := float64(bytes), -1
	for ; value >= kilo; unit++ {
		value /= kilo
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGTPE"[unit])
}

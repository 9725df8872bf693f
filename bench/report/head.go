package report

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Head says when, where and how figures were measured.
type Head struct {
	Date     time.Time `json:"date"`
	Machine  Machine   `json:"machine"`
	Build    Build     `json:"build"`
	Command  string    `json:"command,omitempty"` // the command line, or empty in older files
	Runs     int       `json:"runs,omitempty"`    // the repeats with figures, or 0 in older files
	Settings string    `json:"settings"`
}

// Head writes a title and the head.
func (p *Page) Head(title string, h Head) {
	p.Line("# %s\n", title)
	p.Line("Written by the program in bench; [its README](../README.md) explains the measurements.\n")
	p.Line("- Date: %s", h.Date.Format("2006-01-02"))
	p.Line("- Machine: %s, %d cores (GOMAXPROCS %d), %s", h.Machine.CPU, h.Machine.Cores, h.Machine.MaxProcs, h.Machine.Memory)
	p.Line("- System: %s, %s, backups on %s", h.Machine.System, h.Machine.Kernel, h.Machine.FileSystem)
	p.Line("- Go: %s %s", h.Build.Go, h.Build.Target)
	p.Line("- Command: %s", h.command())
	p.Line("- Runs: %s", h.runs())
	p.Line("- Settings: %s", h.Settings)
}

func (h Head) command() string {
	if h.Command == "" {
		return "not recorded"
	}
	return "`" + h.Command + "`"
}

func (h Head) runs() string {
	if h.Runs == 0 {
		return "not recorded"
	}
	return fmt.Sprint(h.Runs)
}

// CommandLine returns the program with the flags that the user set. It leaves the
// folders out: paths say nothing to a reader on another machine, and the results
// name the file system.
func CommandLine(program string, flags *flag.FlagSet) string {
	line := program
	flags.Visit(func(f *flag.Flag) {
		switch {
		case f.Name == "out", f.Name == "work":
		case isBool(f):
			line += strings.TrimSuffix(" -"+f.Name+"="+f.Value.String(), "=true")
		default:
			line += fmt.Sprintf(" -%s %s", f.Name, quoted(f.Value.String()))
		}
	})
	return line
}

func isBool(f *flag.Flag) bool {
	value, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && value.IsBoolFlag()
}

// quoted adds the quotes that a shell needs around the names of some systems.
func quoted(value string) string {
	if strings.ContainsAny(value, " *'") {
		return strconv.Quote(value)
	}
	return value
}

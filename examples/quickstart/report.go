package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// A report is what a run tells its user.
type report struct {
	walk        *walk
	news        news
	took        time.Duration
	interrupted bool
	all         bool
}

// shown is how many files of a kind are named unless all are wanted.
const shown = 20

// write returns an error unless everything was written.
func (r report) write(to io.Writer) error {
	out := bufio.NewWriter(to) // it keeps the first error for Flush
	fmt.Fprintf(out, "%s: read %s, %s, in %v\n", printable(r.walk.folder),
		files(r.walk.files.Load()), size(r.walk.bytes.Load()), max(r.took, time.Millisecond).Round(time.Millisecond))
	if r.interrupted {
		fmt.Fprintln(out, "interrupted: what was not reached is left for the next run")
	}
	fmt.Fprintln(out, r.summary())
	r.list(out, "new", r.news.added)
	r.list(out, "changed", r.news.changed)
	r.list(out, "gone", r.news.gone)
	r.list(out, "cannot be read, left as last seen", slices.Sorted(maps.Keys(r.walk.unreadable)))
	return out.Flush()
}

func (r report) summary() string {
	since := "first look: "
	if r.news.since != "" {
		since = "since " + localTime(r.news.since) + ": "
	}
	var kinds []string
	add := func(names []string, kind string) {
		if len(names) > 0 {
			kinds = append(kinds, grouped(len(names))+" "+kind)
		}
	}
	add(r.news.added, "new")
	add(r.news.changed, "changed")
	add(r.news.gone, "gone")
	if kinds == nil {
		return since + "nothing new, changed or gone"
	}
	return since + strings.Join(kinds, ", ")
}

func (r report) list(out io.Writer, title string, names []string) {
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s:\n", title)
	rest := 0
	if !r.all {
		rest = max(0, len(names)-shown)
	}
	for _, name := range names[:len(names)-rest] {
		fmt.Fprint(out, "    ", printable(name))
		if err := r.walk.unreadable[name]; err != nil {
			fmt.Fprint(out, ": ", err)
		}
		fmt.Fprintln(out)
	}
	if rest > 0 {
		fmt.Fprintf(out, "    … and %s more (-v names them all)\n", grouped(rest))
	}
}

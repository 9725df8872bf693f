package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A console is standard error: a person's terminal, where one line of progress is
// written over and over, or a log, which gets a new line now and then.
type console struct {
	terminal bool

	mu    sync.Mutex // guards the rest
	out   io.Writer
	width int // of the progress line that is shown
}

func newConsole(out io.Writer) *console {
	c := &console{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		c.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return c
}

// println writes a line of its own.
func (c *console) println(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	fmt.Fprintln(c.out, line)
}

// follow shows progress until stop is called. What is over within an interval
// shows none.
func (c *console) follow(progress func() string) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	ticker := time.NewTicker(c.interval())
	go func() {
		defer close(done)
		for {
			select {
			case <-ticker.C:
				c.show(progress())
			case <-quit:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(quit)
		<-done
		c.show("")
	}
}

func (c *console) interval() time.Duration {
	if c.terminal {
		return 100 * time.Millisecond
	}
	return 5 * time.Second
}

// show puts text in the place of the progress line. It must be shorter than a
// terminal is wide.
func (c *console) show(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	switch {
	case text == "":
	case c.terminal:
		fmt.Fprint(c.out, text)
		c.width = utf8.RuneCountInString(text)
	default:
		fmt.Fprintln(c.out, text)
	}
}

// clear writes blanks rather than an escape sequence: they work everywhere.
func (c *console) clear() {
	if c.width > 0 {
		fmt.Fprint(c.out, "\r", strings.Repeat(" ", c.width), "\r")
		c.width = 0
	}
}

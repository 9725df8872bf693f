package main

import (
	"fmt"
	"os"
	"time"
)

// progress shows on stderr the current trial, the number of the trial and an
// estimate of the time left.
type progress struct {
	begin    time.Time
	plan     []trial
	window   time.Duration
	terminal bool
	spent    map[string]*average // per kind of trial
}

type average struct {
	total time.Duration
	count int
}

func (a average) mean() time.Duration { return a.total / time.Duration(a.count) }

func newProgress(s settings) *progress {
	info, err := os.Stderr.Stat()
	return &progress{
		begin:    time.Now(),
		plan:     trials(s),
		window:   s.window,
		terminal: err == nil && info.Mode()&os.ModeCharDevice != 0,
		spent:    make(map[string]*average),
	}
}

// starting shows the i-th trial of the plan before it runs.
func (p *progress) starting(i int) {
	t := p.plan[i]
	p.line(fmt.Sprintf("%d/%d · repeat %d · %v · %s gone, %s", i+1, len(p.plan), t.repeat+1, t,
		time.Since(p.begin).Round(time.Second), p.left(p.plan[i:])))
}

func (p *progress) finished(t trial, took time.Duration) {
	a := p.spent[t.kind()]
	if a == nil {
		a = new(average)
		p.spent[t.kind()] = a
	}
	a.total += took
	a.count++
}

// left adds up the remaining trials: the mean of the kind or, before the first of
// a kind, a guess.
func (p *progress) left(rest []trial) string {
	var sum time.Duration
	for _, t := range rest {
		if a := p.spent[t.kind()]; a != nil {
			sum += a.mean()
		} else {
			sum += t.guess(p.window)
		}
	}
	return "about " + sum.Round(time.Second).String() + " left"
}

// line replaces the line on a terminal and adds a line elsewhere.
func (p *progress) line(text string) {
	if p.terminal {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text)
		return
	}
	fmt.Fprintln(os.Stderr, text)
}

// log prints a message that stays on the terminal.
func (p *progress) log(text string) {
	p.line(text)
	if p.terminal {
		fmt.Fprintln(os.Stderr)
	}
}

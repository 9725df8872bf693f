// Package within tells whether the calling goroutine is inside a call of Run,
// for the sake of functions that would wait for their own caller.
//
// Go has no name for a goroutine that a program may ask for cheaply: reading the
// number that runtime.Stack prints costs 3 to 15 µs, on every Run. So Run writes
// the mark into the one thing that is a goroutine's own, its stack: it calls the
// function through frames of zero and one, a frame for each bit of the mark.
// That costs a few ns, and the price of reading them back, 1 µs or so, is paid
// only by those who ask. The idea is from github.com/jtolds/gls.
package within

import (
	"reflect"
	"runtime"
	"sync/atomic"
)

// A Mark tells the calls of one Run from those of others.
type Mark uint64

var marks atomic.Uint64

// New returns a mark that no other call of New returns.
func New() Mark { return Mark(marks.Add(1)) }

// Run calls fn. A panic or runtime.Goexit in it takes its course.
func (m Mark) Run(fn func() error) error { return begin(m, fn) }

// Running reports whether the caller is a function that m.Run called, directly
// or not, on this same goroutine. It walks the stack.
//
// While a panic or Goexit passes through Run, deferred functions of its callers
// run on top of the frames of Run, and so count as inside. To tell those from
// functions inside a later Run, give each Run a mark of its own.
func (m Mark) Running() bool {
	var few [64]uintptr
	pcs := few[:]
	n := runtime.Callers(0, pcs)
	for n == len(pcs) { // there may be more
		pcs = make([]uintptr, 4*n)
		n = runtime.Callers(0, pcs)
	}
	var read Mark
	for _, pc := range pcs[:n] {
		switch enclosing(pc) {
		case zeroEntry:
			read <<= 1
		case oneEntry:
			read = read<<1 | 1
		case beginEntry:
			if read == m {
				return true
			}
			read = 0
		}
	}
	return false
}

// enclosing returns the entry of the function that pc returns to, or 0 if that
// is not a Go function: a cgo traceback has others in between.
func enclosing(pc uintptr) uintptr {
	if f := runtime.FuncForPC(pc - 1); f != nil {
		return f.Entry()
	}
	return 0
}

var (
	beginEntry = entry(begin)
	zeroEntry  = entry(zero)
	oneEntry   = entry(one)
)

func entry(f func(Mark, func() error) error) uintptr { return reflect.ValueOf(f).Pointer() }

// begin, zero and one must stay frames of their own, hence noinline. So must
// spell: inlined, as a profile-guided build of some program would have it, it
// shows up as a second frame with the entry of the function around it.
//
//go:noinline
func begin(m Mark, fn func() error) error { return spell(m, fn) }

//go:noinline
func zero(rest Mark, fn func() error) error { return spell(rest, fn) }

//go:noinline
func one(rest Mark, fn func() error) error { return spell(rest, fn) }

// spell adds a frame for the lowest bit of m, then those for the rest, so that
// reading inwards out gives the highest first.
//
//go:noinline
func spell(m Mark, fn func() error) error {
	switch {
	case m == 0:
		return fn()
	case m&1 == 0:
		return zero(m>>1, fn)
	default:
		return one(m>>1, fn)
	}
}

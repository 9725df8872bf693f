//go:build race

package reentry

import (
	"bytes"
	"runtime"
	"strconv"
	"sync/atomic"
)

// A Guard remembers which goroutine is inside. The zero Guard is ready for use.
// Its methods may be called by any goroutine.
type Guard struct {
	inside atomic.Uint64 // the number of the goroutine, or 0
}

// Enter notes that the calling goroutine is inside, until Leave.
func (g *Guard) Enter() { g.inside.Store(goroutineNumber()) }

// Leave notes that no goroutine is inside.
func (g *Guard) Leave() { g.inside.Store(0) }

// Inside reports whether the calling goroutine is the one between Enter and
// Leave. The function of an [iter.Pull] runs on a goroutine of its own, so a
// call from there goes unnoticed.
func (g *Guard) Inside() bool {
	number := g.inside.Load()
	return number != 0 && number == goroutineNumber()
}

// goroutineNumber reads the number from the first line of the goroutine's stack
// trace, "goroutine 123 [running]:".
func goroutineNumber() uint64 {
	var trace [64]byte
	words := bytes.Fields(trace[:runtime.Stack(trace[:], false)])
	number, err := strconv.ParseUint(string(words[1]), 10, 64)
	if err != nil {
		panic("reentry: no goroutine number in the stack trace: " + err.Error())
	}
	return number
}

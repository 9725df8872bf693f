// Package reentry recognises a call of a store from inside its own Update, in
// programs that are built with the race detector.
//
// Such a call waits for its own caller: a deadlock, as a second Lock of a
// [sync.Mutex] is. To recognise the call, a [Guard] compares the numbers of
// goroutines. Go gives a program no cheap way to learn the number, and reading
// the number costs microseconds on every Update. So a Guard does its work only
// under the race detector, where tests run, and is empty elsewhere.
//
// net/http checks in the same way that the serving loop of HTTP/2 is not entered
// from another goroutine.
package reentry

// Package reentry recognises a call of a store from inside its own Update, in
// programs that are built with the race detector.
//
// Such a call waits for its own caller, which is a deadlock, as a second Lock of a
// [sync.Mutex] is; or it sends and does not wait, and escapes the transaction. To recognise the call, a [Guard] compares the numbers of
// goroutines. Go gives a program no cheap way to learn the number, and reading
// the number costs microseconds on every Update. So a Guard does its work only
// under the race detector, where tests run, and is empty elsewhere.
//
// net/http compares goroutine numbers, too, to check that code of an HTTP/2
// connection runs on the connection's own goroutine.
package reentry

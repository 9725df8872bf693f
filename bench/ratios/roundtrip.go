package main

import "github.com/windevkay/forge/genie/bench/measure"

// A roundTrip is the bare exchange under every ask: a goroutine answers each
// message from a channel.
type roundTrip struct{ requests chan chan struct{} }

func startRoundTrip() roundTrip {
	r := roundTrip{make(chan chan struct{})}
	go func() {
		for answer := range r.requests {
			answer <- struct{}{}
		}
	}()
	return r
}

func (r roundTrip) stop() { close(r.requests) }

// op returns a round trip for that many callers. Each caller has an answer channel
// of its own, made beforehand.
func (r roundTrip) op(callers int) measure.Operation {
	answers := make([]chan struct{}, callers)
	for i := range answers {
		answers[i] = make(chan struct{})
	}
	return func(caller, _ int) {
		r.requests <- answers[caller]
		<-answers[caller]
	}
}

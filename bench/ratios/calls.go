package main

import (
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
)

// A kind is a kind of call.
type kind struct {
	name string
	op   func(*peer.Store, []string) measure.Operation
}

var kinds = []kind{
	{"Get", measure.ReadOp},
	{"Set", measure.WriteOp},
	{"Update", measure.UpdateOp}, // of one key: the function adds one to a counter
	{"Increment", measure.IncrementOp},
}

// bounds are the targets of a kind of call.
type bounds struct{ roundTrip, closures target }

var idleBounds = map[string]bounds{
	"Get": {atMost(1.6), atMost(1)},
	"Set": {atMost(0.6), atMost(1)},

	"Increment": {noTarget, atMost(1)},
}

var besideBounds = map[string]bounds{
	"Get": {noTarget, atMost(2)},
	"Set": {noTarget, atMost(2)},
}

// calls compares Genie's calls with a bare channel round trip, with an actor that
// runs closures, and with a tuned actor, which has typed commands and pooled
// reply channels: beside a number of computing goroutines or, for zero, idle.
func calls(computing int) func(*measurement) error {
	return func(m *measurement) error {
		c, err := newContest(1_000)
		if err != nil {
			return err
		}
		defer c.close()
		window, goals := m.idleWindow(), idleBounds
		if computing > 0 {
			window, goals = m.window, besideBounds
		}
		defer measure.Compute(computing).Stop()
		for _, n := range []int{1, 8, 64, 512} {
			m.callsBy(c, n, window, goals)
		}
		return nil
	}
}

func (m *measurement) callsBy(c *contest, callers int, window time.Duration, goals map[string]bounds) {
	sides := []func() float64{c.roundTripSeconds(callers, window)}
	for _, k := range kinds {
		for _, store := range []*peer.Store{c.genie, c.closures, c.typed} {
			sides = append(sides, c.seconds(store, k, callers, window))
		}
	}
	figures := m.inTurns(sides...)
	for i, k := range kinds {
		genie, goal := figures[3*i+1], goals[k.name]
		against := func(other string, figures series, goal target) {
			m.compare(comparison{
				Measured: k.name, Against: other, Callers: callers, Unit: measure.Seconds,
				Figures: genie, Others: figures, Target: goal,
			})
		}
		against("a channel round trip", figures[0], goal.roundTrip)
		against(k.name+" of an actor with closures", figures[3*i+2], goal.closures)
		against(k.name+" of a tuned actor", figures[3*i+3], noTarget)
	}
}

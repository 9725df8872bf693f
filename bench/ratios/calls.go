package main

import (
	"fmt"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
	"github.com/windevkay/forge/genie/bench/report"
)

// A kind is a kind of call.
type kind struct {
	name string
	op   func(*peer.Store, []string) measure.Operation
}

var kinds = []kind{
	{"Get", measure.ReadOp},
	{"Set", measure.WriteOp},
	{"Update", measure.IncrementOp}, // of one key: the function adds one to a counter
}

// bounds are the targets of a kind of call.
type bounds struct{ roundTrip, closures target }

var idleBounds = map[string]bounds{
	"Get": {atMost(1.6), atMost(1)},
	"Set": {atMost(0.6), noTarget},
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
		c, err := newContest()
		if err != nil {
			return err
		}
		defer c.close()
		window, goals := m.idleWindow(), idleBounds
		if computing > 0 {
			window, goals = m.window, besideBounds
		}
		defer measure.Compute(computing).Stop()
		t := m.table("call", "Genie", "of a channel round trip", "of an actor with closures", "of a tuned actor")
		for _, n := range []int{1, 8, 64, 512} {
			m.callsBy(c, t, n, window, goals)
		}
		return t.Flush()
	}
}

func (m *measurement) callsBy(c *contest, t table, callers int, window time.Duration, goals map[string]bounds) {
	sides := []func() float64{c.roundTripNanoseconds(callers, window)}
	for _, k := range kinds {
		for _, store := range []*peer.Store{c.genie, c.closures, c.typed} {
			sides = append(sides, c.nanoseconds(store, k, callers, window))
		}
	}
	medians := m.medians(sides...)
	for i, k := range kinds {
		roundTrip, genie, closures, typed := medians[0], medians[3*i+1], medians[3*i+2], medians[3*i+3]
		goal := goals[k.name]
		t.row(k.name+", "+measure.ForCallers(callers), nanoseconds(genie),
			of(genie, roundTrip, goal.roundTrip),
			of(genie, closures, goal.closures),
			of(genie, typed, noTarget))
	}
}

func nanoseconds(value float64) string { return report.Figure(value/1e9, measure.Seconds) }

func of(got, base float64, goal target) string {
	cell := fmt.Sprintf("%.2f of %s", got/base, nanoseconds(base))
	if goal != noTarget {
		cell += " (" + goal.verdict(got/base) + ")"
	}
	return cell
}

package main

import (
	"errors"
	"fmt"
	"os"
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

// An arena is Genie and two actors with the same entries, and the bare round trip.
type arena struct {
	dir                    string
	genie, closures, typed *peer.Store
	roundTrip              roundTrip
	keys                   []string
}

func newArena() (*arena, error) {
	const entries = 1000
	dir, err := os.MkdirTemp("", "genie-ratios-")
	if err != nil {
		return nil, err
	}
	a := &arena{dir: dir, roundTrip: startRoundTrip(), keys: measure.Keys(entries)}
	home := peer.Home{Dir: dir, Entries: entries}
	err = errors.Join(
		a.open(&a.genie, peer.Named(peer.Reference), home),
		a.open(&a.closures, peer.Named(peer.ChannelActor), home),
		a.open(&a.typed, peer.TypedActor(), home),
	)
	if err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *arena) open(store **peer.Store, system peer.System, home peer.Home) (err error) {
	if *store, err = system.Open(home); err != nil {
		return err
	}
	(*store).Populate(measure.Pairs(len(a.keys), measure.Old))
	return nil
}

func (a *arena) close() {
	a.roundTrip.stop()
	for _, store := range []*peer.Store{a.genie, a.closures, a.typed} {
		if store != nil {
			_ = store.Close() // the last backup of a folder that is about to go
		}
	}
	os.RemoveAll(a.dir)
}

// nanoseconds measures the nanoseconds per call of n callers together.
func (a *arena) nanoseconds(store *peer.Store, k kind, n int, window time.Duration) func() float64 {
	op := k.op(store, a.keys)
	return func() float64 { return 1e9 / measure.Rate(n, window, op, store.AwaitWrites) }
}

func (a *arena) roundTripNanoseconds(n int, window time.Duration) func() float64 {
	op := a.roundTrip.op(n)
	return func() float64 { return 1e9 / measure.Rate(n, window, op, func() {}) }
}

// A bound is the target of a kind of call against each side of the comparison.
type bound struct{ roundTrip, closures target }

var idleBounds = map[string]bound{
	"Get": {atMost(1.6), atMost(1)},
	"Set": {atMost(0.6), noTarget},
}

var besideBounds = map[string]bound{
	"Get": {noTarget, atMost(2)},
	"Set": {noTarget, atMost(2)},
}

// calls compares Genie's calls with a bare channel round trip, with an actor that
// runs closures, and with an actor that has typed commands and pooled reply
// channels: beside that many computing goroutines, or idle if there are none.
func calls(computing int) func(*measurement) error {
	return func(m *measurement) error {
		a, err := newArena()
		if err != nil {
			return err
		}
		defer a.close()
		window, bounds := m.idleWindow(), idleBounds
		if computing > 0 {
			window, bounds = m.window, besideBounds
		}
		defer measure.Compute(computing).Stop()
		t := m.table("call", "Genie", "of a channel round trip", "", "of an actor with closures", "", "of a typed actor, pooled")
		for _, n := range []int{1, 8, 64, 512} {
			m.callsBy(a, t, n, window, bounds)
		}
		return t.Flush()
	}
}

func (m *measurement) callsBy(a *arena, t table, callers int, window time.Duration, bounds map[string]bound) {
	sides := []func() float64{a.roundTripNanoseconds(callers, window)}
	for _, k := range kinds {
		for _, store := range []*peer.Store{a.genie, a.closures, a.typed} {
			sides = append(sides, a.nanoseconds(store, k, callers, window))
		}
	}
	medians := m.medians(sides...)
	for i, k := range kinds {
		roundTrip, genie, closures, typed := medians[0], medians[3*i+1], medians[3*i+2], medians[3*i+3]
		goal := bounds[k.name]
		t.row(k.name+", "+measure.ForCallers(callers), nanoseconds(genie),
			of(genie, roundTrip), goal.roundTrip.verdict(genie/roundTrip),
			of(genie, closures), goal.closures.verdict(genie/closures),
			of(genie, typed))
	}
}

func nanoseconds(value float64) string { return report.Figure(value/1e9, measure.Seconds) }

func of(got, base float64) string {
	return fmt.Sprintf("%.2f of %s", got/base, nanoseconds(base))
}

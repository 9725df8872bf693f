package main

import (
	"errors"

	"github.com/windevkay/forge/genie/bench/measure"
)

// guard fails if a Get or a Set has become slow for certain: three times in a
// row, with room for the noise of a busy machine.
func (m *measurement) guard() error {
	c, err := newContest()
	if err != nil {
		return err
	}
	defer c.close()
	const tries = 3
	for range tries {
		if m.idleIsFast(c) && m.besideIsFast(c) {
			return nil
		}
	}
	return errors.New("a Get or a Set has become slow")
}

func (m *measurement) idleIsFast(c *contest) bool {
	get, set := kinds[0], kinds[1]
	medians := m.medians(
		c.roundTripNanoseconds(1, m.idleWindow()),
		c.nanoseconds(c.genie, get, 1, m.idleWindow()),
		c.nanoseconds(c.genie, set, 1, m.idleWindow()),
	)
	ofGet, ofSet := medians[1]/medians[0], medians[2]/medians[0]
	m.printf("idle, Get is %.2f channel round trips (at most 2.6), Set %.2f (at most 1.2)\n", ofGet, ofSet)
	return ofGet <= 2.6 && ofSet <= 1.2
}

func (m *measurement) besideIsFast(c *contest) bool {
	const computing = 2
	defer measure.Compute(computing).Stop()
	medians := m.medians(
		c.nanoseconds(c.closures, kinds[0], 1, m.window),
		c.nanoseconds(c.genie, kinds[0], 1, m.window),
	)
	ratio := medians[1] / medians[0]
	m.printf("beside %d computing goroutines, Get is %.2f Gets of an actor with closures (at most 4)\n", computing, ratio)
	return ratio <= 4
}

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/windevkay/forge/genie/bench/measure"
)

// guard fails if a Get or a Set has become slow for certain: three times in a
// row, with room for the noise of a busy machine.
func (m *measurement) guard(out io.Writer) error {
	c, err := newContest(1_000)
	if err != nil {
		return err
	}
	defer c.close()
	const tries = 3
	for range tries {
		if m.idleIsFast(c, out) && m.besideIsFast(c, out) {
			return nil
		}
	}
	return errors.New("a Get or a Set has become slow")
}

func (m *measurement) idleIsFast(c *contest, out io.Writer) bool {
	get, set := kinds[0], kinds[1]
	sides := m.inTurns(
		c.roundTripSeconds(1, m.idleWindow()),
		c.seconds(c.genie, get, 1, m.idleWindow()),
		c.seconds(c.genie, set, 1, m.idleWindow()),
	)
	ofGet, ofSet := sides[1].median()/sides[0].median(), sides[2].median()/sides[0].median()
	fmt.Fprintf(out, "idle, Get is %.2f channel round trips (at most 2.6), Set %.2f (at most 1.2)\n", ofGet, ofSet)
	return ofGet <= 2.6 && ofSet <= 1.2
}

func (m *measurement) besideIsFast(c *contest, out io.Writer) bool {
	const computing = 2
	defer measure.Compute(computing).Stop()
	sides := m.inTurns(
		c.seconds(c.closures, kinds[0], 1, m.window),
		c.seconds(c.genie, kinds[0], 1, m.window),
	)
	ratio := sides[1].median() / sides[0].median()
	fmt.Fprintf(out, "beside %d computing goroutines, Get is %.2f Gets of an actor with closures (at most 4)\n", computing, ratio)
	return ratio <= 4
}

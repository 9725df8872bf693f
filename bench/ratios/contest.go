package main

import (
	"errors"
	"os"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
	"github.com/windevkay/forge/genie/bench/peer"
)

// A contest is Genie and two actors with equal entries, and the bare round trip.
type contest struct {
	dir                    string
	genie, closures, typed *peer.Store
	roundTrip              roundTrip
	keys                   []string
}

func newContest(entries int) (*contest, error) {
	dir, err := os.MkdirTemp("", "genie-ratios-")
	if err != nil {
		return nil, err
	}
	c := &contest{dir: dir, roundTrip: startRoundTrip(), keys: measure.Keys(entries)}
	home := peer.Home{Dir: dir, Entries: entries}
	err = errors.Join(
		c.open(&c.genie, peer.Genie(), home),
		c.open(&c.closures, peer.ChannelActor(), home),
		c.open(&c.typed, peer.TypedActor(), home),
	)
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *contest) open(store **peer.Store, system peer.System, home peer.Home) (err error) {
	if *store, err = system.Open(home); err != nil {
		return err
	}
	(*store).Populate(measure.Pairs(len(c.keys), measure.Old))
	return nil
}

func (c *contest) close() {
	c.roundTrip.stop()
	for _, store := range []*peer.Store{c.genie, c.closures, c.typed} {
		if store != nil {
			_ = store.Close() // the last backup of a folder that is about to go
		}
	}
	os.RemoveAll(c.dir)
}

// seconds measures the seconds per call of n callers together.
func (c *contest) seconds(store *peer.Store, k kind, n int, window time.Duration) func() float64 {
	op := k.op(store, c.keys)
	return func() float64 { return 1 / measure.Rate(n, window, op, store.AwaitWrites) }
}

func (c *contest) roundTripSeconds(n int, window time.Duration) func() float64 {
	op := c.roundTrip.op(n)
	return func() float64 { return 1 / measure.Rate(n, window, op, func() {}) }
}

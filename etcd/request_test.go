package etcd

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A pause is as long as a try has taken, which a coarse clock measures as 0.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, pause := range []time.Duration{0, 1, firstPause, longestPause} {
			began := time.Now()
			assert.True(t, sleep(t.Context(), pause))
			took := time.Since(began)
			assert.GreaterOrEqual(t, took, pause/2)
			assert.LessOrEqual(t, took, pause/2+pause)
		}
	})
}

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRingHasTheNewest(t *testing.T) {
	for limit := 1; limit <= 4; limit++ {
		r := ring[int]{limit: limit}
		require.Empty(t, r.all())
		var added []int
		for n := range 3 * limit {
			r.add(n)
			added = append(added, n)
			require.Equal(t, added[max(0, len(added)-limit):], r.all())
		}
	}
}

func TestRingGivesCopies(t *testing.T) {
	r := ring[int]{limit: 2}
	r.add(1)
	r.all()[0] = 2
	require.Equal(t, []int{1}, r.all())
}

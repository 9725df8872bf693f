//go:build race

package reentry

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyTheGoroutineThatEnteredIsInside(t *testing.T) {
	var guard Guard
	require.False(t, guard.Inside(), "before Enter")
	guard.Enter()
	require.True(t, guard.Inside())

	var others sync.WaitGroup
	for range 8 {
		others.Go(func() {
			if guard.Inside() {
				t.Error("another goroutine is taken for the one inside")
			}
		})
	}
	others.Wait()
	guard.Leave()
	require.False(t, guard.Inside(), "after Leave")
}

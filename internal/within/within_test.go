package within_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/within"
)

func TestRunningInsideRunOnly(t *testing.T) {
	for range 40 { // marks of several lengths
		m, other := within.New(), within.New()
		require.False(t, m.Running())
		err := m.Run(func() error {
			require.True(t, m.Running())
			require.False(t, other.Running())
			require.True(t, deep(500, m.Running), "below more frames than one look takes")
			return other.Run(func() error {
				require.True(t, m.Running(), "nested")
				require.True(t, other.Running())
				return nil
			})
		})
		require.NoError(t, err)
		require.False(t, m.Running())
	}
}

func TestRunningIsOfOneGoroutine(t *testing.T) {
	m := within.New()
	require.NoError(t, m.Run(func() error {
		elsewhere := make(chan bool)
		go func() { elsewhere <- m.Running() }()
		require.False(t, <-elsewhere)
		return nil
	}))
}

func TestRunPassesOn(t *testing.T) {
	m := within.New()
	require.ErrorIs(t, m.Run(func() error { return io.ErrUnexpectedEOF }), io.ErrUnexpectedEOF)
	require.PanicsWithValue(t, "through", func() { _ = m.Run(func() error { panic("through") }) })
	require.False(t, m.Running())
}

func deep(n int, f func() bool) bool {
	if n == 0 {
		return f()
	}
	return deep(n-1, f)
}

func BenchmarkRun(b *testing.B) {
	m := within.Mark(1000)
	for b.Loop() {
		_ = m.Run(func() error { return nil })
	}
}

func BenchmarkRunning(b *testing.B) {
	m := within.Mark(1000)
	for b.Loop() {
		m.Running()
	}
}

package within_test

import (
	"io"
	"runtime"
	"strings"
	"sync"
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

func TestEveryBitOfAMarkIsRead(t *testing.T) {
	marks := []within.Mark{1, 2, 3, 1<<32 - 1, 1 << 32, 1<<63 | 1, 1<<64 - 1}
	for bit := range 64 {
		marks = append(marks, within.Mark(1)<<bit)
	}
	for _, m := range marks {
		require.NoError(t, m.Run(func() error {
			require.True(t, m.Running(), "%b", m)
			for bit := range 64 {
				require.False(t, (m ^ 1<<bit).Running(), "%b", m^1<<bit)
			}
			return nil
		}))
	}
}

// A look at the stack reads as many frames as there are, wherever the edge of
// its first try falls.
func TestRunningAtEveryDepth(t *testing.T) {
	m := within.New()
	require.NoError(t, m.Run(func() error {
		for n := range 300 {
			require.True(t, deep(n, m.Running), n)
		}
		return nil
	}))
	for n := range 300 {
		require.False(t, deep(n, m.Running), n)
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

func TestRunningWhileOthersRunTheSame(t *testing.T) {
	m := within.New()
	outside := make(chan bool)
	var inside sync.WaitGroup
	for range 4 {
		inside.Go(func() {
			_ = m.Run(func() error {
				for range 1000 {
					if !m.Running() {
						t.Error("not running, inside Run")
					}
				}
				return nil
			})
		})
	}
	go func() {
		running := false
		for range 1000 {
			running = running || m.Running()
		}
		outside <- running
	}()
	require.False(t, <-outside)
	inside.Wait()
}

func TestRunPassesOn(t *testing.T) {
	m := within.New()
	require.ErrorIs(t, m.Run(func() error { return io.ErrUnexpectedEOF }), io.ErrUnexpectedEOF)
	require.PanicsWithValue(t, "through", func() { _ = m.Run(func() error { panic("through") }) })
	require.False(t, m.Running())

	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = m.Run(func() error { runtime.Goexit(); return nil })
		t.Error("Goexit went no further than Run")
	}()
	<-exited
}

// Functions deferred outside of Run find its frames on the stack until the panic
// is recovered. Those of another Run are not among them.
func TestRunningWhilePanicking(t *testing.T) {
	m, later := within.New(), within.New()
	var inside, outside, laterOutside bool
	func() {
		defer func() {
			outside, laterOutside = m.Running(), later.Running()
			_ = recover()
		}()
		_ = m.Run(func() error {
			defer func() { inside = m.Running() }()
			panic("on its way")
		})
	}()
	require.True(t, inside)
	require.True(t, outside)
	require.False(t, laterOutside)
	require.False(t, m.Running())
}

func TestNewReturnsEachMarkOnce(t *testing.T) {
	var seen sync.Map
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 500 {
				if _, twice := seen.LoadOrStore(within.New(), true); twice {
					t.Error("the same mark twice")
				}
			}
		})
	}
	callers.Wait()
}

// The frames must be the ones that Running looks for: a compiler that inlined
// one would show it here as a name that is missing or there twice.
func TestOneFrameForEachBit(t *testing.T) {
	m := within.Mark(0b1011001)
	var trace []string
	require.NoError(t, m.Run(func() error {
		pcs := make([]uintptr, 64)
		frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
		for {
			frame, more := frames.Next()
			if _, name, ok := strings.Cut(frame.Function, "/within."); ok {
				trace = append(trace, name)
			}
			if !more {
				return nil
			}
		}
	}))
	require.Equal(t, []string{
		"spell", "one", "spell", "zero", "spell", "one", "spell", "one",
		"spell", "zero", "spell", "zero", "spell", "one", "spell", "begin",
	}, trace[:16])
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
	b.ReportAllocs()
	for b.Loop() {
		m.Running()
	}
}

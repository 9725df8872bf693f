package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// saved are saves of which each takes a millisecond longer than the one before.
func saved(n int) (saves []genie.Save) {
	for i := range n {
		took := time.Duration(i+1) * time.Millisecond
		saves = append(saves, genie.Save{At: time.Unix(int64(i), 0), Took: took, Bytes: 100, Step: i%2 == 0})
	}
	return saves
}

func TestChartOfSaves(t *testing.T) {
	for _, n := range []int{1, 2, maxSaves} {
		c := chartOfSaves(saved(n))
		require.Len(t, c.Bars, n)
		require.Equal(t, short(time.Duration(n)*time.Millisecond), c.Top)
		require.Contains(t, c.Text, c.Top)
		for i, b := range c.Bars {
			require.GreaterOrEqual(t, b.X, 0.0)
			require.LessOrEqual(t, b.X+b.Width, float64(chartWidth))
			require.InDelta(t, chartHeight*float64(i+1)/float64(n), b.Height, 1)
			require.InDelta(t, chartHeight, b.Y+b.Height, 0.001, "a bar stands on the axis")
			if i > 0 {
				require.Greater(t, b.X, c.Bars[i-1].X+c.Bars[i-1].Width, "the newest is at the right")
				require.NotEqual(t, b.Width, c.Bars[i-1].Width, "a step is narrower than a whole backup")
			}
		}
	}
	require.Empty(t, chartOfSaves(nil).Bars)
	require.Equal(t, 1.0, chartOfSaves([]genie.Save{{}}).Bars[0].Height, "a save that took no time is seen")
}

func TestChartOfEntries(t *testing.T) {
	tests := map[string]struct {
		entries []int
		points  string
		top     string
	}{
		"none":    {nil, "", ""},
		"one":     {[]int{5}, "600.0,0.0", "5"},
		"zero":    {[]int{0, 0}, "598.0,120.0 600.0,120.0", "0"},
		"falling": {[]int{2000, 1000, 0}, "596.0,0.0 598.0,60.0 600.0,120.0", "2,000"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := chartOfEntries(tt.entries)
			require.Equal(t, tt.points, c.Points)
			require.Equal(t, tt.top, c.Top)
			require.NotEmpty(t, c.Text)
		})
	}
	full := chartOfEntries(make([]int, maxSamples))
	require.True(t, strings.HasPrefix(full.Points, "0.0,120.0 "), "a full history has the whole width")
}

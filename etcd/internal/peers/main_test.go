package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The server of etcd leaves goroutines for a moment after its end, so goleak looks at the end.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The keys are enough to tell their bytes from those of connections.
var tiny = plan{rounds: 1, window: 5 * time.Millisecond, keys: 2000}

// Each system gives figures, and a row with a cell for each column.
func TestEachSystemHasFigures(t *testing.T) {
	r, err := tiny.measure(t.Context())
	require.NoError(t, err)
	for _, c := range r.contestants {
		for _, of := range columns {
			require.Len(t, c.figures[of], tiny.rounds, "%s: %s", c.name, of)
			for _, figure := range c.figures[of] {
				assert.Positive(t, figure, "%s: %s", c.name, of)
			}
		}
	}
	checkWords(t, r.contestants)
	checkReport(t, r)
}

// checkWords has each of the three words be that of some system: so no word is beyond the reach
// of the look after a cut.
func checkWords(t *testing.T, contestants []*contestant) {
	words := make(map[string][2]string)
	for _, c := range contestants {
		words[c.name] = c.words
	}
	for name, want := range map[string][2]string{
		"genie/etcd":                     {resumes, resumes},
		"clientv3, own map":              {resumes, toldOfGap},
		"NATS KV, own map, fsync always": {resumes, silent},
	} {
		assert.Equal(t, want, words[name], name)
	}
}

func checkReport(t *testing.T, r run) {
	var report bytes.Buffer
	require.NoError(t, r.report(&report))
	all, missing := withRedis(systems())
	for _, s := range all {
		assert.Contains(t, report.String(), "| "+s.name+" | "+s.promise+" |")
	}
	for line := range strings.Lines(report.String()) {
		if strings.HasPrefix(line, "|") {
			assert.Equal(t, 2+len(columns)+2, strings.Count(line, "|")-1, line)
		}
	}
	assert.Contains(t, report.String(), missing)
}

func TestCell(t *testing.T) {
	assert.Equal(t, "6.00 (4.00 to 150), ×3.00", cell([]float64{150, 4, 6}, []float64{3, 2, 2}))
}

// A Set that promises so is visible when it returns. A Set that is only acknowledged is not always:
// so the check can fail.
func TestPromises(t *testing.T) {
	all, _ := withRedis(systems())
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			c, err := enter(t.Context(), s, t.TempDir(), plan{keys: 1}.names())
			require.NoError(t, err)
			defer c.leave()
			switch s.name {
			case "clientv3, own map":
				require.Positive(t, c.missed(t, 5000))
			default:
				if s.promise == visible {
					require.Zero(t, c.missed(t, 200))
				}
			}
		})
	}
}

// missed counts the calls of Set, of so many or until the first, after which Get does not show
// the value.
func (c *contestant) missed(t *testing.T, of int) (missed int) {
	for i := 0; i < of && missed == 0; i++ {
		value := c.value()
		require.NoError(t, c.here.Set(t.Context(), c.keys[0], value))
		if now, _ := c.here.Get(c.keys[0]); now != value {
			missed++
		}
	}
	return missed
}

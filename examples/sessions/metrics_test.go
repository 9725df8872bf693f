package main

import (
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie"
)

// scrape returns what Prometheus reads from stats, and fails unless all of it can be
// parsed.
func scrape(t *testing.T, stats func() genie.Stats) map[string]*dto.MetricFamily {
	t.Helper()
	answer := httptest.NewRecorder()
	newOperatorsHandler(stats, newHistory(), quiet).ServeHTTP(answer, httptest.NewRequest("GET", metricsPath, nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	require.NoError(t, err)
	return families
}

func TestMetrics(t *testing.T) {
	calls := 0
	families := scrape(t, func() genie.Stats { calls++; return someStats })
	require.Equal(t, 1, calls, "one scrape is one instant")
	got := map[string]float64{}
	for name, family := range families {
		m := family.GetMetric()[0]
		require.Equal(t, strings.HasSuffix(name, "_total"), family.GetType() == dto.MetricType_COUNTER, name)
		got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() // the other is 0
	}
	require.Equal(t, map[string]float64{
		"genie_entries": 1_234_567, "genie_expiring_entries": 2_345, "genie_loaded_entries": 345,
		"genie_writes_total": 88_017, "genie_unsaved_writes": 17, "genie_saves_total": 5_001, "genie_save_failures_total": 3,
		"genie_last_save_timestamp_seconds": float64(noon.Unix() - 3), "genie_last_save_duration_seconds": 0.004567,
		"genie_last_save_bytes": 7_654, "genie_last_save_failure_timestamp_seconds": float64(noon.Unix() - 65),
		"genie_next_backup_timestamp_seconds": float64(noon.Unix() + 8),
		"genie_object_bytes":                  9_100_000, "genie_step_bytes": 820_000,
	}, got)
	for name, family := range scrape(t, func() genie.Stats { return genie.Stats{} }) {
		m := family.GetMetric()[0]
		require.Zero(t, m.GetCounter().GetValue()+m.GetGauge().GetValue(), name)
	}
}

// Each field of Stats that is a number or a time changes a metric. Path, Source and the
// text of LastError are on the page only.
func TestMetricsHaveEveryFigure(t *testing.T) {
	numbers := func(s genie.Stats) (all []float64) {
		for _, m := range metrics {
			all = append(all, m.value(s))
		}
		return all
	}
	notNumbers := []string{"Path", "Source", "LastError"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[genie.Stats]()) {
		var s genie.Stats
		reflect.ValueOf(&s).Elem().FieldByIndex(field.Index).Set(reflect.ValueOf(someStats).FieldByIndex(field.Index))
		changed := !reflect.DeepEqual(numbers(s), numbers(genie.Stats{}))
		require.NotEqual(t, slices.Contains(notNumbers, field.Name), changed, field.Name)
	}
}

func TestMetricsFollowTheConventions(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(collector{func() genie.Stats { return someStats }}))
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)

	// The linter finds a counter whose name is not one of a counter.
	wrong := prometheus.NewRegistry()
	wrong.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "genie_saves", Help: "Saves."}))
	problems, err = testutil.GatherAndLint(wrong)
	require.NoError(t, err)
	require.NotEmpty(t, problems)
}

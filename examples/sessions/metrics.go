package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windevkay/forge/genie"
)

// A collector gives Prometheus the figures of a store. Each scrape calls stats once, and
// so has the figures of one instant. Between scrapes the collector does nothing.
type collector struct{ stats func() genie.Stats }

// A metric is one figure with its name.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(genie.Stats) float64
}

func gauge(name, help string, value func(genie.Stats) float64) metric {
	return metric{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value}
}

func counter(name, help string, value func(genie.Stats) float64) metric {
	return metric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, value}
}

// metrics are the numbers and the times of Stats. A time is 0 before its first event: an
// alert is hard to write for a metric that is missing at first.
var metrics = []metric{
	gauge("genie_entries", "Entries in the map.",
		func(s genie.Stats) float64 { return float64(s.Entries) }),
	gauge("genie_expiring_entries", "Entries with a deadline, perhaps with some that have ended and are not removed yet.",
		func(s genie.Stats) float64 { return float64(s.Expiring) }),
	gauge("genie_loaded_entries", "Entries that were loaded at the start.",
		func(s genie.Stats) float64 { return float64(s.Loaded) }),
	counter("genie_writes_total", "Writes that stand since the start, and removals of entries that have ended.",
		func(s genie.Stats) float64 { return float64(s.Writes) }),
	gauge("genie_unsaved_writes", "Writes that the last successful save does not have.",
		func(s genie.Stats) float64 { return float64(s.Unsaved) }),
	counter("genie_saves_total", "Backups and steps that have succeeded.",
		func(s genie.Stats) float64 { return float64(s.Saves) }),
	counter("genie_save_failures_total", "Backups and steps that have failed.",
		func(s genie.Stats) float64 { return float64(s.FailedSaves) }),
	gauge("genie_last_save_timestamp_seconds", "When the newest save that has succeeded was durable, 0 if none was yet.",
		func(s genie.Stats) float64 { return timestamp(s.LastSave.At) }),
	gauge("genie_last_save_duration_seconds", "How long the newest save that has succeeded took.",
		func(s genie.Stats) float64 { return s.LastSave.Took.Seconds() }),
	gauge("genie_last_save_bytes", "Bytes that the newest save that has succeeded wrote.",
		func(s genie.Stats) float64 { return float64(s.LastSave.Bytes) }),
	gauge("genie_last_save_failure_timestamp_seconds", "When the newest save that has failed did so, 0 if none has.",
		func(s genie.Stats) float64 { return timestamp(s.LastErrorAt) }),
	gauge("genie_next_backup_timestamp_seconds", "When the next automatic backup is due, 0 if none is.",
		func(s genie.Stats) float64 { return timestamp(s.NextBackup) }),
	gauge("genie_object_bytes", "Bytes of the backup file without its steps.",
		func(s genie.Stats) float64 { return float64(s.ObjectBytes) }),
	gauge("genie_step_bytes", "Bytes of the steps behind the object in the backup file.",
		func(s genie.Stats) float64 { return float64(s.StepBytes) }),
}

// timestamp returns t in seconds since 1970, with a precision below a microsecond.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / float64(time.Second)
}

// Describe implements [prometheus.Collector].
func (collector) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range metrics {
		descs <- m.desc
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(values chan<- prometheus.Metric) {
	s := c.stats()
	for _, m := range metrics {
		values <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
}

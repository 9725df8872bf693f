// Package report keeps the figures of a run, as JSON for the charts and as
// Markdown for people.
package report

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/windevkay/forge/genie/bench/measure"
)

// Results holds everything the harness found out.
type Results struct {
	Head
	Sizes    []int     `json:"sizes"` // of the stores that were backed up
	Systems  []System  `json:"systems"`
	Rows     []Row     `json:"rows"`
	Faults   []Fault   `json:"faults"`
	Failures []Failure `json:"failures"`
}

// A System describes a contestant to the readers of a table.
type System struct {
	Name     string `json:"name"`
	Bulk     string `json:"bulk"`
	Snapshot string `json:"snapshot"`
	Durable  string `json:"durable"`
}

// A Row is one system in one column of one table, over all repeats.
type Row struct {
	Table  string        `json:"table"`
	Column string        `json:"column"`
	Unit   measure.Unit  `json:"unit"`
	System string        `json:"system"`
	Values []Observation `json:"values"`
}

// An Observation knows its repeat. A ratio compares two systems within one repeat,
// in which both met one state of the machine.
type Observation struct {
	Repeat int     `json:"repeat"`
	Value  float64 `json:"value"`
}

// A Failure is a measurement that ended without a figure.
type Failure struct {
	System string `json:"system"`
	Task   string `json:"task"`
	Repeat int    `json:"repeat"`
	Reason string `json:"reason"`
}

// Add adds the samples of one system in one repeat, counted from zero.
func (r *Results) Add(system string, repeat int, samples []measure.Sample) {
	for _, s := range samples {
		row := r.row(system, s)
		row.Values = append(row.Values, Observation{repeat, s.Value})
		r.Runs = max(r.Runs, repeat+1)
	}
}

func (r *Results) row(system string, s measure.Sample) *Row {
	if row := r.find(system, s.Table, s.Column); row != nil {
		return row
	}
	r.Rows = append(r.Rows, Row{Table: s.Table, Column: s.Column, Unit: s.Unit, System: system})
	return &r.Rows[len(r.Rows)-1]
}

func (r *Results) find(system, table, column string) *Row {
	for i := range r.Rows {
		if row := &r.Rows[i]; row.System == system && row.Table == table && row.Column == column {
			return row
		}
	}
	return nil
}

// Read loads the results that Write wrote to path.
func Read(path string) (*Results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Results
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	return &r, nil
}

// Write writes the results to path.
func (r *Results) Write(path string) error { return WriteJSON(path, r) }

// WriteJSON writes figures to path.
func WriteJSON(path string, figures any) error {
	text, err := json.MarshalIndent(figures, "", "\t")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

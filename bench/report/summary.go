package report

import "slices"

// A Summary is a median with its spread.
type Summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"lowest"`
	Max    float64 `json:"highest"`
}

// Summarize returns the median of the values and their range. It needs at least
// one value.
func Summarize(values []float64) Summary {
	sorted := slices.Sorted(slices.Values(values))
	middle, last := len(sorted)/2, len(sorted)-1
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Summary{median, sorted[0], sorted[last]}
}

// Summary returns the summary of a system in a column, if the column has one.
func (r *Results) Summary(system, table, column string) (Summary, bool) {
	row := r.find(system, table, column)
	if row == nil {
		return Summary{}, false
	}
	values := make([]float64, len(row.Values))
	for i, o := range row.Values {
		values[i] = o.Value
	}
	return Summarize(values), true
}

// Ratio returns the summary of the ratios of a system to a reference, taken repeat
// by repeat.
func (r *Results) Ratio(system, reference, table, column string) (Summary, bool) {
	row, base := r.find(system, table, column), r.find(reference, table, column)
	if row == nil || base == nil {
		return Summary{}, false
	}
	ratios := pair(row.Values, base.Values)
	if len(ratios) == 0 {
		return Summary{}, false
	}
	return Summarize(ratios), true
}

// pair divides the values of the repeats with values on both sides.
func pair(values, bases []Observation) []float64 {
	base := make(map[int]float64, len(bases))
	for _, o := range bases {
		base[o.Repeat] = o.Value
	}
	var ratios []float64
	for _, o := range values {
		if base[o.Repeat] > 0 {
			ratios = append(ratios, o.Value/base[o.Repeat])
		}
	}
	return ratios
}

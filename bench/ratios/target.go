package main

import "fmt"

// A target is the bound of a ratio that the authors of Genie aim at. The zero target is
// none.
type target struct {
	Bound   float64 `json:"bound"`
	AtLeast bool    `json:"atLeast,omitempty"` // instead of at most
}

func atMost(bound float64) target  { return target{Bound: bound} }
func atLeast(bound float64) target { return target{bound, true} }

var noTarget target

// met reports whether a ratio reaches the target, if there is one.
func (t target) met(ratio float64) bool {
	switch {
	case t == noTarget:
		return false
	case t.AtLeast:
		return ratio >= t.Bound
	}
	return ratio <= t.Bound
}

func (t target) verdict(ratio float64) string {
	if t == noTarget {
		return "–"
	}
	relation, outcome := "≤", "MISSED"
	if t.AtLeast {
		relation = "≥"
	}
	if t.met(ratio) {
		outcome = "met"
	}
	return fmt.Sprintf("%s %g, %s", relation, t.Bound, outcome)
}

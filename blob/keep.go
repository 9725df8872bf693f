package blob

import "slices"

// A keepRule is the rule of WithKeep. It looks at the names of copies and at no clock, so it gives
// each writer the same answer.
type keepRule struct {
	all        bool // removes nothing; spare is not called
	last, days int
}

// spare returns the copies that need not stay. copies are sorted, oldest first.
func (k keepRule) spare(copies []Copy) []Copy {
	var spare []Copy
	newer, days := 0, 0 // of the copies that were looked at: how many, and on how many days
	day := ""
	for _, c := range slices.Backward(copies) {
		today := c.Time.UTC().Format("20060102")
		firstOfDay := today != day
		if firstOfDay {
			day = today
			days++
		}
		newer++
		if newer > k.last && !(firstOfDay && days <= k.days) {
			spare = append(spare, c)
		}
	}
	slices.Reverse(spare)
	return spare
}

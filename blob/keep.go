package blob

import (
	"slices"
	"time"
)

// A keepRule is the rule of WithKeep. It looks at the names of copies, at the times that the bucket
// gives, and at no clock, so it gives each writer the same answer.
type keepRule struct {
	all        bool // removes nothing; spare is not called
	last, days int
}

// spare returns the copies that need not stay. copies are sorted, oldest first.
func (k keepRule) spare(copies []sealedCopy) []Copy {
	var spare []Copy
	days := map[string]bool{} // of the copies that were looked at
	for i, c := range slices.Backward(copies) {
		day := c.day()
		newest := !days[day]
		days[day] = true
		if len(copies)-i > k.last && !(newest && len(days) <= k.days) {
			spare = append(spare, c.Copy)
		}
	}
	slices.Reverse(spare)
	return spare
}

// day returns the day of a copy, by the earlier of two times. The time in the name is ahead if that of
// an older copy was, and would make all later copies those of one day, until the time has caught up.
// The time of the bucket is late if its objects were moved there from another bucket, and would
// make all of them those of one day.
func (c sealedCopy) day() string {
	at := c.Time
	if c.stored.Before(at) {
		at = c.stored
	}
	return at.UTC().Format(time.DateOnly)
}

package blob

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naiveKeep is the rule as its documentation says it, word by word and slowly.
func naiveKeep(copies []Copy, last, days int) (kept []Copy) {
	dayOf := func(c Copy) string { return c.Time.UTC().Format(time.DateOnly) }
	stays := map[string]bool{}
	for i, c := range copies {
		if i >= len(copies)-last { // one of the newest
			stays[c.Name] = true
		}
	}
	newestOfDay := map[string]string{}
	for _, c := range copies {
		newestOfDay[dayOf(c)] = c.Name
	}
	var withCopies []string
	for day := range newestOfDay {
		withCopies = append(withCopies, day)
	}
	slices.Sort(withCopies)
	for _, day := range withCopies[max(0, len(withCopies)-days):] {
		stays[newestOfDay[day]] = true
	}
	for _, c := range copies {
		if stays[c.Name] {
			kept = append(kept, c)
		}
	}
	return kept
}

// without returns the copies that are not among others.
func without(copies, others []Copy) (rest []Copy) {
	for _, c := range copies {
		if !slices.Contains(others, c) {
			rest = append(rest, c)
		}
	}
	return rest
}

// someCopies draws copies of some weeks, oldest first, many on a day and days without.
func someCopies(t *rapid.T) (copies []Copy) {
	at := time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC)
	for range rapid.IntRange(0, 40).Draw(t, "copies") {
		at = at.Add(time.Duration(rapid.Int64Range(1, int64(36*time.Hour)).Draw(t, "pause")))
		if rapid.Bool().Draw(t, "soon") {
			at = at.Add(time.Minute)
		}
		copies = append(copies, Copy{Name: newName(at), Time: at})
	}
	return copies
}

func TestKeepRuleAgainstTheNaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := keepRule{last: rapid.IntRange(1, 10).Draw(t, "last"), days: rapid.IntRange(0, 10).Draw(t, "days")}
		copies := someCopies(t)
		kept := without(copies, rule.spare(copies))
		require.Equal(t, naiveKeep(copies, rule.last, rule.days), kept)
		require.LessOrEqual(t, len(kept), rule.last+rule.days, "the bound that WithKeep states")
		require.Empty(t, rule.spare(kept), "the rule takes nothing from what it has kept")
	})
}

// Pruning after each copy, as programs do, keeps what the rule would keep of all copies at once:
// a copy that was removed early would not have been kept later.
func TestKeepRuleStepByStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := keepRule{last: rapid.IntRange(1, 6).Draw(t, "last"), days: rapid.IntRange(0, 6).Draw(t, "days")}
		all := someCopies(t)
		var kept []Copy
		for i, c := range all {
			kept = append(kept, c)
			kept = without(kept, rule.spare(kept))
			require.Equal(t, naiveKeep(all[:i+1], rule.last, rule.days), kept)
		}
	})
}

func TestKeepRuleByExample(t *testing.T) {
	at := func(day, hour int) Copy {
		when := time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC)
		return Copy{Name: newName(when), Time: when}
	}
	copies := []Copy{at(1, 1), at(1, 23), at(2, 0), at(2, 12), at(9, 8), at(9, 9), at(9, 10)}
	require.Equal(t, []Copy{copies[0], copies[2], copies[4]}, keepRule{last: 2, days: 3}.spare(copies))
	require.Equal(t, copies[:6], keepRule{last: 1}.spare(copies))
	// A day of another zone does not count.
	local := copies[1]
	local.Time = local.Time.In(time.FixedZone("east", 5*3600))
	require.Equal(t, []Copy{copies[0], copies[2]}, keepRule{last: 1, days: 9}.spare([]Copy{copies[0], local, copies[2], copies[3]}))
}

package blob

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naiveKeep is the rule as its documentation says it, word by word and slowly.
func naiveKeep(copies []sealedCopy, last, days int) (kept []sealedCopy) {
	dayOf := func(c sealedCopy) string {
		return min(c.Time.UTC().Format(time.DateOnly), c.stored.UTC().Format(time.DateOnly))
	}
	stays := map[string]bool{}
	for i, c := range copies {
		if i >= len(copies)-last { // one of the newest
			stays[c.Name] = true
		}
	}
	seen := map[string]bool{}
	for _, c := range slices.Backward(copies) {
		if day := dayOf(c); !seen[day] && len(seen) < days {
			seen[day], stays[c.Name] = true, true
		}
	}
	for _, c := range copies {
		if stays[c.Name] {
			kept = append(kept, c)
		}
	}
	return kept
}

// without returns the copies that are not among others.
func without(copies []sealedCopy, others []Copy) (rest []sealedCopy) {
	for _, c := range copies {
		if !slices.Contains(others, c.Copy) {
			rest = append(rest, c)
		}
	}
	return rest
}

// someCopies draws copies of some weeks, oldest first, many on a day and days without. At times the
// clock of a writer is wrong, or that of the bucket.
func someCopies(t *rapid.T) (copies []sealedCopy) {
	wrong := func(what string) time.Duration {
		return rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 0, 0, 0, -50 * time.Hour, 30 * time.Hour, 1000 * time.Hour}).Draw(t, what)
	}
	now := time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC)
	for range rapid.IntRange(0, 40).Draw(t, "copies") {
		now = now.Add(time.Duration(rapid.Int64Range(1, int64(36*time.Hour)).Draw(t, "pause")))
		if rapid.Bool().Draw(t, "soon") {
			now = now.Add(time.Minute)
		}
		at := (&listing{copies: copies}).next(now.Add(wrong("clock of the writer")))
		copies = append(copies, sealedCopy{Copy: Copy{Name: newName(at), Time: at}, stored: now.Add(wrong("clock of the bucket"))})
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
		var kept []sealedCopy
		for i, c := range all {
			kept = append(kept, c)
			kept = without(kept, rule.spare(kept))
			require.Equal(t, naiveKeep(all[:i+1], rule.last, rule.days), kept)
		}
	})
}

// copyOf returns a copy that was begun and sealed at a time.
func copyOf(at time.Time) sealedCopy {
	return sealedCopy{Copy: Copy{Name: newName(at), Time: at}, stored: at}
}

// unsealed returns the copies as a List does.
func unsealed(copies ...sealedCopy) (all []Copy) {
	for _, c := range copies {
		all = append(all, c.Copy)
	}
	return all
}

func TestKeepRuleByExample(t *testing.T) {
	at := func(day, hour int) sealedCopy { return copyOf(time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC)) }
	copies := []sealedCopy{at(1, 1), at(1, 23), at(2, 0), at(2, 12), at(9, 8), at(9, 9), at(9, 10)}
	require.Equal(t, unsealed(copies[0], copies[2], copies[4]), keepRule{last: 2, days: 3}.spare(copies))
	require.Equal(t, unsealed(copies[:6]...), keepRule{last: 1}.spare(copies))
	// A day of another zone does not count.
	local := copies[1]
	local.Time = local.Time.In(time.FixedZone("east", 5*3600))
	require.Equal(t, unsealed(copies[0], copies[2]), keepRule{last: 1, days: 9}.spare([]sealedCopy{copies[0], local, copies[2], copies[3]}))
}

// A clock was a year ahead for a moment. In a folder the time that the bucket gives was wrong, too. Of the
// copies that came before and after, one for each day stays, for all days but one.
func TestAClockThatWasAhead(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"a service": 0, "a folder": -365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *faultyBucket) {
				copies, began := b.copies(t, WithKeep(4, 10)), time.Now()
				for range 10 * 4 {
					must(copies.Copy(t.Context(), store(t, "before")))
					after(6 * time.Hour)
				}
				plantCopy(b, -365*24*time.Hour, ahead, 0)
				for days := range 20 {
					stored := map[string]bool{}
					for _, c := range must(copies.list(t.Context())).copies {
						stored[c.stored.UTC().Format(time.DateOnly)] = true
					}
					for day := 10 + days - 1; day > days; day-- {
						require.Contains(t, stored, began.AddDate(0, 0, day).UTC().Format(time.DateOnly))
					}
					for range 4 {
						must(copies.Copy(t.Context(), store(t, "after")))
						after(6 * time.Hour)
					}
				}
			})
		})
	}
}

// The objects were moved here from another bucket, so all were stored on one day.
func TestCopiesThatWereMoved(t *testing.T) {
	var copies []sealedCopy
	moved := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for day := range 30 {
		copies = append(copies, copyOf(time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC)))
		copies[day].stored = moved
	}
	require.Empty(t, keepRule{last: 1, days: 30}.spare(copies))
}

package peer

import "strconv"

// plusOne is the work of every atomic increment: the counters are text, as all
// values of a string store are.
func plusOne(text string) string {
	n, _ := strconv.Atoi(text) // an absent counter is the empty string and counts as zero
	return strconv.Itoa(n + 1)
}

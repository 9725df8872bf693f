package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// number returns n with a comma between thousands.
func number[T int | int64 | uint64](n T) string {
	digits := strconv.FormatUint(uint64(n), 10) // no figure is negative
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// bytesOf returns n in the unit that leaves one to three digits before the point.
func bytesOf(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	size, unit := float64(n)/1000, 0
	for ; size >= 999.95 && unit < 3; unit++ {
		size /= 1000
	}
	return fmt.Sprintf("%.1f %cB", size, "kMGT"[unit])
}

// short returns d with three digits, and without units that are 0.
func short(d time.Duration) string {
	precision := time.Duration(1)
	for d/precision >= 1000 {
		precision *= 10
	}
	text := strings.Replace(d.Round(precision).String(), "m0s", "m", 1)
	return strings.Replace(text, "h0m", "h", 1)
}

// ago returns how long t is before now. A save may end after now was taken, so t may be
// a little later than now.
func ago(now, t time.Time) string {
	if passed := now.Sub(t); passed >= time.Second {
		return short(passed.Truncate(time.Second)) + " ago"
	}
	return "less than a second ago"
}

// in returns how long t is after now. A backup that is due has begun, or is about to.
func in(now, t time.Time) string {
	if wait := t.Sub(now).Round(time.Second); wait > 0 {
		return "in " + short(wait)
	}
	return "now"
}

// clock returns t for people.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

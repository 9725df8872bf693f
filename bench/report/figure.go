package report

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/windevkay/forge/genie/bench/measure"
)

// Figure returns a value for people: three digits and a fitting prefix.
func Figure(value float64, unit measure.Unit) string {
	switch unit {
	case measure.Seconds:
		return duration(value)
	case measure.Bytes:
		return scaled(value, 1024, "B", "KiB", "MiB", "GiB")
	case measure.Share:
		return Digits(value*100) + " %"
	}
	return scaled(value, 1000, "", "k", "M", "G")
}

// Round returns a value that is a round number, as on an axis.
func Round(value float64, unit measure.Unit) string {
	return zeros.ReplaceAllString(Figure(value, unit), "")
}

var zeros = regexp.MustCompile(`\.0+\b`)

func duration(seconds float64) string {
	nanoseconds := seconds * float64(time.Second)
	if seconds >= 1 {
		return Digits(seconds) + " s"
	}
	return scaled(nanoseconds, 1000, "ns", "µs", "ms")
}

func scaled(value, step float64, prefixes ...string) string {
	i := 0
	for ; i < len(prefixes)-1 && math.Abs(value) >= 0.9995*step; i++ {
		value /= step
	}
	if prefixes[i] == "" {
		return Digits(value)
	}
	return Digits(value) + " " + prefixes[i]
}

// rounded leaves one digit of a small value.
func rounded(value float64) float64 {
	value, _ = strconv.ParseFloat(strconv.FormatFloat(value, 'e', 0, 64), 64)
	return value
}

// Digits keeps three significant ones, without an exponent.
func Digits(value float64) string {
	switch size := math.Abs(value); {
	case size >= 99.95:
		return fmt.Sprintf("%.0f", value)
	case size >= 9.995:
		return fmt.Sprintf("%.1f", value)
	case size >= 0.01 || size == 0:
		return fmt.Sprintf("%.2f", value)
	}
	return strconv.FormatFloat(rounded(value), 'f', -1, 64)
}

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// grouped writes n with a comma after every three digits.
func grouped[N int | int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func files(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return grouped(n) + " files"
}

// size writes a number of bytes the way file managers do.
func size(bytes int64) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d B", bytes)
	}
	amount, unit := float64(bytes), -1
	for amount >= 999.95 { // would be written as 1000.0
		amount /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", amount, "kMGTPE"[unit])
}

// printable returns name, quoted if a terminal could take it for something else
// than text: file names may hold line ends, escape sequences and stray bytes.
func printable(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, isControl) {
		return name
	}
	return strconv.Quote(name)
}

func isControl(r rune) bool { return !strconv.IsPrint(r) }

// shortened returns enough of a hash to recognise it.
func shortened(value string) string {
	const enough = 20
	if len(value) <= enough {
		return value
	}
	return value[:enough] + "…"
}

// localTime turns a time of the ledger into one for people.
func localTime(stamp string) string {
	t, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return printable(stamp) // somebody has edited the backup
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

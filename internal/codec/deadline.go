package codec

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// The value of an entry with a deadline, as it is written:
//
//	{"value":"…","expires":"2026-01-02T03:04:05.678Z"}
//
// The deadline is a time of RFC 3339 in UTC, with up to nine digits of a second.
const (
	valueName   = "value"
	expiresName = "expires"

	valueBegin   = `{"` + valueName + `":`
	expiresBegin = `,"` + expiresName + `":`
)

var (
	errNotTime = errors.New("not a time of RFC 3339 in UTC, such as 2026-01-02T03:04:05Z")

	errNotTimed = fmt.Errorf("an object, but not of the members %q and %q alone, as a value with a deadline is", valueName, expiresName)
)

// appendDeadline appends a deadline in quotes.
func appendDeadline(buf []byte, deadline int64) []byte {
	buf = append(buf, '"')
	buf = time.Unix(0, deadline).UTC().AppendFormat(buf, time.RFC3339Nano)
	return append(buf, '"')
}

// parseDeadline returns the deadline that text stands for. Times before 1970 become the
// first nanosecond of 1970, which is over, and times after the last instant of an int64, in
// the year 2262, that instant.
func parseDeadline(text string) (int64, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !hasForm(text) {
		return 0, errNotTime
	}
	switch {
	case !t.After(time.Unix(0, 0)):
		return 1, nil
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64, nil
	}
	return t.UnixNano(), nil
}

// hasForm refuses what time.Parse lets pass: hours of one digit, a comma before the
// fraction, more than nine digits behind it, zones.
func hasForm(text string) bool {
	const shortest, longest = len("2006-01-02T15:04:05Z"), len("2006-01-02T15:04:05.999999999Z")
	return shortest <= len(text) && len(text) <= longest && text[13] == ':' &&
		strings.HasSuffix(text, "Z") && !strings.Contains(text, ",")
}

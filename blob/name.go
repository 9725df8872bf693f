package blob

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The name of a backup object is its time, a random part and an extension. The time has a fixed
// width, so names sort by time. No character of a name needs an escape, in a URL, on the
// command line or in a file system.
const (
	timeLayout = "20060102T150405.000000000Z"
	randomSize = 8 // bytes: of a thousand writers in one nanosecond, two agree once in 10^13 times
	extension  = ".json"
	sealed     = ".sealed"
	temporary  = ".tmp" // of a file that package fileblob writes

	nameSize = len(timeLayout) + len("-") + 2*randomSize + len(extension)
)

// newName returns the name of a copy of the moment at.
func newName(at time.Time) string {
	random := make([]byte, randomSize)
	rand.Read(random) // never fails
	return at.UTC().Format(timeLayout) + "-" + hex.EncodeToString(random) + extension
}

// timeOf returns the time in a name, and reports whether it is the name of a backup object.
func timeOf(name string) (at time.Time, ok bool) {
	if len(name) != nameSize || !strings.HasSuffix(name, extension) {
		return time.Time{}, false
	}
	stamp, random, ok := strings.Cut(strings.TrimSuffix(name, extension), "-")
	if !ok || !isHex(random, 2*randomSize) {
		return time.Time{}, false
	}
	at, err := time.Parse(timeLayout, stamp)
	// Parse also takes times that Format would write in another way.
	return at, err == nil && at.Format(timeLayout) == stamp
}

// sealOf returns the name of the seal of a copy.
func sealOf(c Copy) string {
	return fmt.Sprintf("%s.%d.%x%s", c.Name, c.Bytes, c.SHA256, sealed)
}

// parseSeal sets the length and the sum in c that the rest of a seal's name, behind the name of
// the backup, holds, and reports whether it is the name of a seal.
func parseSeal(rest string, c *Copy) bool {
	rest, found := strings.CutSuffix(rest, sealed)
	length, sum, cut := strings.Cut(strings.TrimPrefix(rest, "."), ".")
	if !found || !cut || !isHex(sum, 2*len(c.SHA256)) {
		return false
	}
	var err error
	c.Bytes, err = strconv.ParseInt(length, 10, 64)
	if err != nil || c.Bytes < 0 {
		return false
	}
	hex.Decode(c.SHA256[:], []byte(sum)) // never fails: sum is of the right length
	return sealOf(*c) == c.Name+"."+rest[1:]+sealed
}

// isHex reports whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

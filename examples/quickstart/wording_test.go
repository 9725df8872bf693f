package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456", 7654321: "7,654,321"} {
		require.Equal(t, want, grouped(n))
	}
	require.Equal(t, "1 file", files(1))
	require.Equal(t, "0 files", files(0))
	require.Equal(t, "12,000 files", files(12000))
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 1234: "1.2 kB", 999_949: "999.9 kB", 999_950: "1.0 MB",
		1e6: "1.0 MB", 4.5e9: "4.5 GB", math.MaxInt64: "9.2 EB",
	} {
		require.Equal(t, want, size(bytes))
	}
}

func TestPrintable(t *testing.T) {
	for name, want := range map[string]string{
		"plain": "plain", "ünï cödé": "ünï cödé", `C:\Users\"x"`: `C:\Users\"x"`, "": "",
		"two\nlines": `"two\nlines"`, "\x1b[2J": `"\x1b[2J"`, "\xff": `"\xff"`, "\u202e": `"\u202e"`,
	} {
		require.Equal(t, want, printable(name))
	}
}

func TestShortened(t *testing.T) {
	require.Equal(t, "2026-11-22T21:11:17Z", shortened("2026-11-22T21:11:17Z"))
	require.Equal(t, "01234567890123456789…", shortened("012345678901234567890"))
}

func TestLocalTime(t *testing.T) {
	require.Regexp(t, `^20\d\d-\d\d-\d\d \d\d:\d\d:17$`, localTime("2026-11-22T21:11:17Z"))
	require.Equal(t, "yesterday", localTime("yesterday"))
}

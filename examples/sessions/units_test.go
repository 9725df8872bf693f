package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 12345: "12,345", 123456: "123,456", 1234567: "1,234,567"} {
		require.Equal(t, want, number(n))
	}
}

func TestBytesOf(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 1234: "1.2 kB", 999_949: "999.9 kB", 999_950: "1.0 MB",
		1_500_000_000: "1.5 GB", 2e12: "2.0 TB", 3e15: "3000.0 TB",
	} {
		require.Equal(t, want, bytesOf(n))
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999: "999ns", 1234567: "1.23ms", 999999: "1ms", 12345678: "12.3ms", 1500 * time.Millisecond: "1.5s",
		2*time.Minute + 5*time.Second: "2m5s", 26 * time.Hour: "26h", 5 * time.Minute: "5m", time.Hour + 10*time.Minute: "1h10m", 10 * time.Second: "10s",
	} {
		require.Equal(t, want, short(d))
	}
}

func TestAgoAndIn(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for passed, want := range map[time.Duration]string{
		-time.Second: "less than a second ago", 999 * time.Millisecond: "less than a second ago",
		1999 * time.Millisecond: "1s ago", 61 * time.Second: "1m1s ago",
	} {
		require.Equal(t, want, ago(now, now.Add(-passed)))
	}
	for wait, want := range map[time.Duration]string{
		-time.Second: "now", 400 * time.Millisecond: "now", 600 * time.Millisecond: "in 1s", time.Minute: "in 1m",
	} {
		require.Equal(t, want, in(now, now.Add(wait)))
	}
	require.Equal(t, "2030-01-02 03:04:05 UTC", clock(now.In(time.FixedZone("", 3600))))
}

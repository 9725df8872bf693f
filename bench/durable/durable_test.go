package main

import (
	"fmt"
	"testing"
	"time"
)

// Every system takes writes of several callers without an error.
func TestEverySystemWrites(t *testing.T) {
	for _, s := range systems {
		t.Run(fmt.Sprint(s.name, " ", s.promise), func(t *testing.T) {
			if rate, err := s.rate(t.TempDir(), 4, 20*time.Millisecond); err != nil || rate <= 0 {
				t.Fatal(rate, err)
			}
		})
	}
}

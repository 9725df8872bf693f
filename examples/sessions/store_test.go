package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie"
)

func TestWaitForAFileInUse(t *testing.T) {
	inUse := fmt.Errorf("file: %w", genie.ErrInUse)
	other := errors.New("other")
	tests := map[string]struct {
		free    time.Duration // until the file is free
		failure error         // of the attempt afterwards
		stop    time.Duration // until the stop
		took    time.Duration // at least; at most one retryInterval more
		want    error
	}{
		"free":               {0, nil, time.Hour, 0, nil},
		"failure":            {0, other, time.Hour, 0, other},
		"handed over":        {8 * time.Second, nil, time.Hour, 8 * time.Second, nil},
		"failure afterwards": {8 * time.Second, other, time.Hour, 8 * time.Second, other},
		"never free":         {time.Hour, nil, time.Hour, handOverTime, inUse},
		"stopped":            {time.Hour, nil, 3 * time.Second, 3 * time.Second, inUse},
		"stopped before":     {time.Hour, nil, 0, 0, inUse},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.stop)
				defer cancel()
				opened := new(genie.Store)
				start := time.Now()
				store, err := retryInUse(ctx, quiet, func() (*genie.Store, error) {
					switch {
					case time.Since(start) < tt.free:
						return nil, inUse
					case tt.failure != nil:
						return nil, tt.failure
					}
					return opened, nil
				})
				require.Equal(t, tt.want, err)
				require.Equal(t, tt.want == nil, store == opened)
				require.InDelta(t, tt.took, time.Since(start), float64(retryInterval))
			})
		})
	}
}

func TestStoreIsClosedAtOnce(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	// On one processor, a goroutine that the store starts runs late.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	failure := errors.New("failure")
	s := settings{backup: filepath.Join(t.TempDir(), "sessions.json"), every: time.Hour}
	for range 20 {
		err := ended(t, func() error {
			return withStore(t.Context(), s, quiet, func(*genie.Store) error { return failure })
		})
		require.ErrorIs(t, err, failure)
	}
}

package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/windevkay/forge/genie/etcd/internal/e2e/cluster"
)

func TestMain(m *testing.M) {
	cluster.ServeIfMember()
	goleak.VerifyTestMain(m)
}

func TestTheTourEndsWell(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	require.NoError(t, run(ctx, &out), "%s", &out)
	t.Log(out.String())
	for _, line := range []string{
		"Replica 2 serves her request 4",
		"After a Sync, replica 3 reads her session",
		", the leader, is killed.",
		" runs again, with its data.",
		"none is lost, none counted twice",
		"The three replicas are equal",
	} {
		require.Contains(t, out.String(), line)
	}
}

package etcd

import (
	"testing"

	"go.uber.org/goleak"
)

// The tests of this folder need no server. Those with one are in internal/single and
// internal/e2e, modules of their own: the server of etcd must not come into the module graph of a
// program that uses this package.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

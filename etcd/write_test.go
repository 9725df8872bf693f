package etcd

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Seven of the years that a Duration holds are beyond the longest lease.
func TestTimesToLiveAreRoundedUp(t *testing.T) {
	for _, test := range []struct {
		ttl  time.Duration
		want int64
	}{
		{1, 1},
		{time.Second, 1},
		{time.Second + 1, 2},
		{time.Minute - 1, 60},
		{clientv3.MaxLeaseTTL*time.Second - 1, clientv3.MaxLeaseTTL},
		{clientv3.MaxLeaseTTL*time.Second + 1, clientv3.MaxLeaseTTL},
		{math.MaxInt64 - time.Second, clientv3.MaxLeaseTTL},
		{math.MaxInt64, clientv3.MaxLeaseTTL},
	} {
		assert.Equal(t, test.want, leaseSeconds(test.ttl), "%v", test.ttl)
	}
}

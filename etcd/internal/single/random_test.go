package single

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/windevkay/forge/genie/etcd"
)

// A tried is one Update: each run of its function writes the run's number to a key of its own.
type tried struct {
	runs int
	err  error
}

// judge checks the result of an Update against the numbers that the cluster has applied, and returns
// the kind of the result.
func (u tried) judge(t *testing.T, id string, applied []string) string {
	last := []string{strconv.Itoa(u.runs)}
	switch {
	case u.err == nil, errors.Is(u.err, etcd.ErrNotVisible):
		assert.Equal(t, last, applied, "%s: applied once, and it was the last run: %v", id, u.err)
		return "applied"
	case errors.Is(u.err, etcd.ErrUnknown):
		assert.NotErrorIs(t, u.err, etcd.ErrUnavailable)
		assert.NotErrorIs(t, u.err, etcd.ErrConflict)
		if len(applied) > 0 {
			assert.Equal(t, last, applied, "%s: no run but the last: %v", id, u.err)
		}
		return "unknown"
	default:
		assert.Empty(t, applied, "%s: %v", id, u.err)
		return "refused"
	}
}

// unreliable has transactions lost, answered by nothing, late, or refused.
func unreliable(late *sync.WaitGroup) func(ctx context.Context, send func(context.Context) error) error {
	return func(ctx context.Context, send func(context.Context) error) error {
		switch rand.N(10) {
		case 0:
			send(ctx)
			return status.Error(codes.Unavailable, "the answer is lost")
		case 1:
			return status.Error(codes.Unavailable, "the request is lost")
		case 2, 3:
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			late.Go(func() {
				defer cancel()
				time.Sleep(rand.N(200 * time.Millisecond))
				send(ctx)
			})
			return status.Error(codes.Unavailable, "the request is late")
		case 4:
			return []error{
				rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCTimeout, status.Error(codes.Unknown, "?"),
				status.Error(codes.Canceled, "?"), status.Error(codes.DeadlineExceeded, "?"),
			}[rand.N(5)]
		}
		return send(ctx)
	}
}

// disturb breaks connections, writes and deletes keys, and compacts what the stores have missed.
func (c *cluster) disturb(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(rand.N(400 * time.Millisecond))
		switch key := strconv.Itoa(rand.N(3)); rand.N(6) {
		case 0, 1:
			c.proxy.breakAll()
		case 2:
			c.direct.Delete(ctx, prefix+key)
		case 3, 4:
			c.direct.Put(ctx, prefix+key, "0")
		case 5:
			c.proxy.refuse()
			c.put(key, "1")
			c.compact(c.t.Context())
			c.proxy.admit("")
		}
	}
}

// someUpdate makes an Update of up to two of three keys, in one of five shapes.
func someUpdate(ctx context.Context, s *etcd.Store, id string) (u tried) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond+rand.N(6*time.Second))
	defer cancel()
	key, other, shape := strconv.Itoa(rand.N(3)), strconv.Itoa(rand.N(3)), rand.N(5)
	u.err = s.Update(ctx, func(tx *etcd.Tx) error {
		u.runs++
		tx.Get(key)
		switch shape {
		case 0:
			tx.Set(key, id)
		case 1:
			tx.Get(other)
			tx.Set(other, "0")
		case 2:
			tx.Delete(key)
		case 3:
			tx.Delete(key)
			tx.Get(other)
		case 4: // nothing that it has read
		}
		tx.Set(id, strconv.Itoa(u.runs))
		return nil
	})
	return u
}

// Each Update says the truth about its writes, whatever becomes of requests and connections.
func TestRandomUpdates(t *testing.T) {
	var late, work sync.WaitGroup
	c := newCluster(t, served("KV/Txn", unreliable(&late)))
	history := c.direct.Watch(t.Context(), prefix+"id", clientv3.WithPrefix())
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	var mu sync.Mutex
	results := make(map[string]tried)
	for range 2 {
		s := c.open()
		for range 4 {
			work.Go(func() {
				for ctx.Err() == nil {
					id := "id" + strconv.FormatUint(rand.Uint64(), 36)
					u := someUpdate(t.Context(), s, id)
					if value, _ := s.Get(id); u.err == nil {
						assert.Equal(t, strconv.Itoa(u.runs), value, "visible")
					}
					mu.Lock()
					results[id] = u
					mu.Unlock()
				}
			})
		}
	}
	work.Go(func() { c.disturb(ctx) })
	work.Wait()
	late.Wait()
	c.put("idle", "") // the last event
	kinds := make(map[string]int)
	applied := appliedUntil(history, "idle")
	for id, u := range results {
		kinds[u.judge(t, id, applied[id])]++
	}
	t.Log(kinds)
	assert.NotZero(t, kinds["applied"])
	assert.NotZero(t, kinds["unknown"])
}

// appliedUntil returns the values that each key has had, in their order, until a key comes.
func appliedUntil(history clientv3.WatchChan, last string) map[string][]string {
	applied := make(map[string][]string)
	for response := range history {
		for _, event := range response.Events {
			key := string(event.Kv.Key[len(prefix):])
			applied[key] = append(applied[key], string(event.Kv.Value))
		}
		if len(applied[last]) > 0 {
			break
		}
	}
	return applied
}

// The detector of TestRandomUpdates.
func TestFalseResultsAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		u       tried
		applied []string
	}{
		"nil and nothing":         {tried{1, nil}, nil},
		"nil and twice":           {tried{2, nil}, []string{"1", "2"}},
		"nil and an earlier run":  {tried{2, nil}, []string{"1"}},
		"unknown and twice":       {tried{2, etcd.ErrUnknown}, []string{"2", "2"}},
		"unknown, an earlier run": {tried{2, etcd.ErrUnknown}, []string{"1"}},
		"unknown and refused":     {tried{1, errors.Join(etcd.ErrUnknown, etcd.ErrConflict)}, nil},
		"refused and applied":     {tried{1, fmt.Errorf("%w", etcd.ErrUnavailable)}, []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			probe := new(testing.T)
			test.u.judge(probe, "id", test.applied)
			assert.True(t, probe.Failed())
		})
	}
}

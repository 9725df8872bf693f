package etcd

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// set and removed are events of the prefix "p/".
func set(key, value string, at int64) *clientv3.Event {
	return &clientv3.Event{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{Key: []byte("p/" + key), Value: []byte(value), ModRevision: at}}
}

func removed(key string, at int64) *clientv3.Event {
	return &clientv3.Event{Type: clientv3.EventTypeDelete, Kv: &mvccpb.KeyValue{Key: []byte("p/" + key), ModRevision: at}}
}

// response is a response of a server whose store is at revision head.
func response(head int64, events ...*clientv3.Event) clientv3.WatchResponse {
	return clientv3.WatchResponse{Header: &etcdserverpb.ResponseHeader{ClusterId: 1, Revision: head}, Events: events}
}

func TestFold(t *testing.T) {
	for name, test := range map[string]struct {
		responses []clientv3.WatchResponse
		want      batch
	}{
		"nothing": {nil, batch{}},
		"the events of a revision stay together": {
			[]clientv3.WatchResponse{response(11, set("a", "1", 11), removed("b", 11))},
			batch{
				changes:  []change{{key: "a", value: "1"}, {key: "b", deleted: true}},
				revision: 11,
				witness:  witness{"b", 11, true},
			},
		},
		"revisions that arrived together share a batch, in order": {
			[]clientv3.WatchResponse{response(11, set("a", "1", 11)), response(12, set("a", "2", 12)), response(13, removed("a", 13))},
			batch{
				changes:  []change{{key: "a", value: "1"}, {key: "a", value: "2"}, {key: "a", deleted: true}},
				revision: 13,
				witness:  witness{"a", 13, true},
			},
		},
		"a header beside events may be ahead of them": {
			[]clientv3.WatchResponse{response(99, set("a", "1", 11))},
			batch{changes: []change{{key: "a", value: "1"}}, revision: 11, witness: witness{"a", 11, false}},
		},
		"a progress notification moves the revision": {
			[]clientv3.WatchResponse{response(99)},
			batch{revision: 99},
		},
		"one that is old does not": {
			[]clientv3.WatchResponse{response(10)},
			batch{},
		},
		"events that were applied already come again": {
			[]clientv3.WatchResponse{response(11, set("a", "old", 9), set("a", "old", 10), set("b", "1", 11))},
			batch{changes: []change{{key: "b", value: "1"}}, revision: 11, witness: witness{"b", 11, false}},
		},
		"the key that is the prefix has tokens": {
			[]clientv3.WatchResponse{response(11, set("a", "1", 11), set("", "token", 11)), response(12, removed("", 12))},
			batch{
				changes:  []change{{key: "a", value: "1"}},
				revision: 12,
				witness:  witness{"a", 11, false},
				tokens:   []sighting{{"token", 11}, {"", 12}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, fold(test.responses, "p/", 10)) })
	}
}

func TestAnInboxIsBounded(t *testing.T) {
	one := response(1, set("key", "value", 1))
	in := newInbox(3 * size(one))
	for range 3 {
		require.True(t, in.put(one))
	}
	require.False(t, in.put(one))
	assert.Len(t, in.take(), 3)
	assert.Empty(t, in.take())
	for range 3 {
		require.True(t, in.put(one), "there is room again")
	}
}

func TestAnInboxTakesOneTransactionOfAnySize(t *testing.T) {
	large := response(1, set("key", string(make([]byte, 1000)), 1))
	in := newInbox(10)
	require.True(t, in.put(large))
	require.False(t, in.put(large))
	in.take()
	require.True(t, in.put(large))
}

func TestAnInboxSignals(t *testing.T) {
	in := newInbox(1 << 20)
	for i := range int64(3) {
		in.put(response(i, set("key", "value", i)))
	}
	<-in.arrived
	assert.Len(t, in.take(), 3, "one signal is for all")
	select {
	case <-in.arrived:
		assert.Fail(t, "a signal for nothing")
	default:
	}
	in.put(response(3))
	<-in.arrived
}

func TestSizeCountsKeysAndValues(t *testing.T) {
	small := size(response(1, set("key", "", 1)))
	assert.Equal(t, 1000, size(response(1, set("key", string(make([]byte, 1000)), 1)))-small)
	assert.Greater(t, size(response(1)), 0)
}

func TestPausesGrow(t *testing.T) {
	pause := firstPause
	for range 20 {
		next := longer(pause)
		assert.GreaterOrEqual(t, next, pause)
		pause = next
	}
	assert.Equal(t, time.Second, pause)
}

func TestABatchDoesNotGoBack(t *testing.T) {
	b := fold([]clientv3.WatchResponse{response(12), response(12, set("a", "1", 11))}, "p/", 10)
	assert.EqualValues(t, 12, b.revision)
}

package etcd

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/windevkay/forge/genie"
)

// differenceOf returns what must change in a replica that has have so that it has want.
func differenceOf(have, want map[string]string, page int) (d *difference, w witness) {
	replica, _ := genie.NewStore(genie.WithoutFile())
	replica.Set(markKey, "mark")
	for key, value := range have {
		replica.Set(key, value)
	}
	var kvs []*mvccpb.KeyValue
	for i, key := range slices.Sorted(maps.Keys(want)) {
		kvs = append(kvs, &mvccpb.KeyValue{Key: []byte("p/" + key), Value: []byte(want[key]), ModRevision: int64(100 + i*7%5)})
	}
	replica.View(func(v *genie.View) error {
		d = newDifference(v)
		for part := range slices.Chunk(kvs, page) {
			d.add(part, len("p/"), &w)
		}
		d.finish()
		return nil
	})
	return d, w
}

func TestDifference(t *testing.T) {
	d, w := differenceOf(
		map[string]string{"a": "1", "b": "1", "c": "1", "e": "1"},
		map[string]string{"": "a token", "b": "1", "c": "2", "d": "2"}, 2)
	assert.Equal(t, []change{
		{key: "a", deleted: true}, {key: "c", value: "2"}, {key: "d", value: "2"}, {key: "e", deleted: true},
	}, d.changes)
	assert.Equal(t, witness{Key: "c", At: 104}, w, "the newest entry")
}

// A difference makes of any map any other, by no more changes than it takes.
func TestDifferencesOfRandomMaps(t *testing.T) {
	random := func() map[string]string {
		m := make(map[string]string)
		for range rand.N(20) {
			m[fmt.Sprintf("%c%c", rand.N('c'-'\x00'), 'a'+rand.N(3))] = fmt.Sprint(rand.N(2))
		}
		return m
	}
	for range 2000 {
		have, want := random(), random()
		d, _ := differenceOf(have, want, 1+rand.N(5))
		got, needed := maps.Clone(have), 0
		for _, c := range d.changes {
			if c.deleted {
				delete(got, c.key)
			} else {
				got[c.key] = c.value
			}
		}
		for key, value := range want {
			if before, ok := have[key]; !ok || before != value {
				needed++
			}
		}
		for key := range have {
			if _, ok := want[key]; !ok {
				needed++
			}
		}
		assert.Equal(t, want, got)
		assert.Len(t, d.changes, needed)
	}
}

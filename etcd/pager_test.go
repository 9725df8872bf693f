package etcd

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestTheNextPageIsOfTheSizeOfTheLast(t *testing.T) {
	for _, test := range []struct {
		limit int64
		bytes int
		want  int64
	}{
		{256, 256 * ofEntry, 1024},      // small entries: grow by four
		{64, 64 << 20, 16},              // entries of 1 MiB: 16 of them are 16 MiB
		{1, 32 << 20, 1},                // never none
		{16, 16 * 64 << 10, 64},         // smaller again
		{100_000, 100_000 << 10, 16384}, // of 1 KiB
	} {
		p := &pager{limit: test.limit, most: math.MaxInt64, timeout: time.Second}
		p.came(test.bytes, 0)
		assert.Equal(t, test.want, p.limit, "%+v", test)
	}
}

// The limits of the pages that are asked for when none comes.
func TestPagesBecomeSmaller(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want []int64
	}{
		"in time":            {errTimeout, []int64{256, 256, 16, 16, 1, 1}},
		"too large":          {status.Error(codes.ResourceExhausted, "larger than max"), []int64{256, 16, 1}},
		"for another reason": {errors.New("broken"), []int64{256}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPager(time.Second)
			got := []int64{p.limit}
			for p.again(test.err) {
				got = append(got, p.limit)
			}
			assert.Equal(t, test.want, got)
		})
	}
}

// After a request that hangs, pages are soon as large as before. Over a slow link they stay small.
func TestPagesGrowAgain(t *testing.T) {
	for name, test := range map[string]struct {
		took time.Duration
		want []int64
	}{
		"soon":  {time.Second/4 - 1, []int64{32, 64, 128, 256, 512}},
		"later": {time.Second / 4, []int64{16, 16, 16, 16, 16}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPager(time.Second)
			require.True(t, p.again(errTimeout), "the same page once more")
			require.True(t, p.again(errTimeout), "a smaller one")
			var got []int64
			for range test.want {
				p.came(int(p.limit)*ofEntry, test.took)
				got = append(got, p.limit)
			}
			assert.Equal(t, test.want, got)
		})
	}
	p := newPager(time.Second)
	for range 100 {
		p.came(1000, 0)
	}
	assert.EqualValues(t, math.MaxInt64, p.most, "without an overflow")
}

// A client that refuses pages above a size gets no page above it again.
func TestPagesDoNotGrowAfterARefusal(t *testing.T) {
	p := newPager(time.Second)
	for p.limit > 16 {
		assert.True(t, p.again(status.Error(codes.ResourceExhausted, "larger than max")))
	}
	for range 10 {
		p.came(16*ofEntry, 0)
	}
	assert.EqualValues(t, 16, p.limit)
}

// One page of three does not come: no page becomes smaller.
func TestAnEndpointThatHangsDoesNotMakePagesSmaller(t *testing.T) {
	p := newPager(time.Second)
	for range 10 {
		p.came(int(p.limit)*ofEntry, 0)
		p.came(int(p.limit)*ofEntry, 0)
		before := p.limit
		assert.True(t, p.again(errTimeout))
		assert.Equal(t, before, p.limit)
	}
}

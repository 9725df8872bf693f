package etcd

import (
	"errors"
	"math"
	"time"
)

// A pager chooses how many entries the next page of a read has: a range of etcd has no limit in
// bytes. Each limit is chosen by the sizes of the entries before, for pages of about pageBytes.
// Pages are large because the server counts all keys behind each page.
//
// A page may not come: over a slow link it takes longer than the timeout, and a client may have
// been set to refuse large messages. The next session would only ask for the same page. So the
// pager makes pages smaller, down to one entry. A request that hangs looks like a slow link, and
// costs a page of each size two timeouts, so pages grow again where they come soon. They do not grow
// beyond a size after one that the client has refused: it would refuse the next.
type pager struct {
	limit   int64
	most    int64 // a page of more may not come
	tried   bool  // a page of limit was asked for, and has not come in time
	refused bool  // the client has refused a page as too large
	timeout time.Duration
}

const (
	firstLimit int64 = 256
	pageBytes  int64 = 16 << 20
	ofEntry          = 100 // bytes of an entry without those of key and value
	shrink           = 16  // with 256 and 16, three sizes are tried before the read fails
)

func newPager(timeout time.Duration) *pager {
	return &pager{limit: firstLimit, most: math.MaxInt64, timeout: timeout}
}

// again reports whether the read is to go on after an error, with the new limit. The first time
// that a page does not come in time, the limit stays: with several endpoints, the next may answer.
func (p *pager) again(err error) bool {
	tooLarge := rule(err).kind == ErrTooLarge
	switch {
	case !tooLarge && !errors.Is(err, errTimeout):
		return false
	case !tooLarge && !p.tried:
		p.tried = true
		return true
	case p.limit == 1:
		return false
	}
	p.limit = max(p.limit/shrink, 1)
	p.most, p.tried, p.refused = p.limit, false, p.refused || tooLarge
	return true
}

// came chooses the limit after a page that had so many bytes and took so long. Limits grow by four
// at most, because the next entries can be larger.
func (p *pager) came(bytes int, took time.Duration) {
	p.tried = false
	if took < p.timeout/4 && p.most < math.MaxInt64/2 && !p.refused {
		p.most *= 2
	}
	wanted := max(p.limit*pageBytes/int64(bytes), 1)
	p.limit = min(wanted, 4*p.limit, p.most)
}

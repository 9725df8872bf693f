package etcd

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// A place is a revision of a cluster. Revisions of different clusters have nothing in common.
type place struct {
	cluster  uint64
	revision int64
}

func placeOf(header *etcdserverpb.ResponseHeader) place {
	return place{header.ClusterId, header.Revision}
}

// errReplaced is the end of a wait for a revision of a history that is no longer the replica's.
var errReplaced = errors.New("another history has taken its place")

// A position is where the replica stands, with the goroutines that wait for it to move. The
// goroutine that applies the events moves it.
type position struct {
	// wanted is signalled when a caller waits for a revision that may have no event here.
	// Capacity 1: one request for progress answers all waits.
	wanted chan struct{}

	mu      sync.Mutex
	at      place
	head    int64 // the newest revision of the cluster that a response has named
	contact time.Time
	reading uint64             // see depart
	behind  uint64             // times that the replica had not kept up
	waiting map[*wait]struct{} // for places of the present link
	tokens  map[string]int64   // of the Updates that run: the revision of the transaction, or 0
	closed  bool

	// follows is closed while the replica follows the cluster.
	follows   chan struct{}
	following bool

	link   context.Context // see cut
	unlink context.CancelFunc
}

// A wait is one goroutine that waits for the replica to reach a place.
type wait struct {
	until place
	quiet bool       // there may be no event at that revision
	done  chan error // capacity 1: the goroutine may have given up
}

func newPosition() *position {
	link, unlink := context.WithCancel(context.Background())
	return &position{
		wanted:  make(chan struct{}, 1),
		waiting: make(map[*wait]struct{}),
		tokens:  make(map[string]int64),
		follows: make(chan struct{}),
		link:    link,
		unlink:  unlink,
	}
}

// reach returns nil once the replica has reached a place by the link of the place. quiet says that
// there may be no event of the prefix at that revision, as with the revision of a read. reach
// returns errCut if the link ends before, and an error at the end of ctx, after patience, by a
// Close, and if the replica turns to another cluster.
func (p *position) reach(ctx context.Context, until receipt, quiet bool, patience time.Duration) error {
	w := p.enlist(until, quiet)
	late := time.NewTimer(patience) // a context with a timeout costs more than the wait
	defer late.Stop()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return p.forget(w, reasonOf(ctx))
	case <-late.C:
		return p.forget(w, errTimeout)
	}
}

func (p *position) enlist(until receipt, quiet bool) *wait {
	w := &wait{until.place, quiet, make(chan error, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case until.link != p.link:
		w.done <- errCut
	case p.at.has(until.place):
		w.done <- nil
	case p.closed:
		w.done <- ErrClosed
	default:
		p.waiting[w] = struct{}{}
		if quiet {
			p.want()
		}
	}
	return w
}

// has reports whether a replica at p has all that is at other.
func (p place) has(other place) bool {
	return p.cluster == other.cluster && p.revision >= other.revision
}

func (p *position) want() {
	select {
	case p.wanted <- struct{}{}:
	default:
	}
}

// forget ends a wait for a reason, unless it has ended, and returns how it has ended.
func (p *position) forget(w *wait, reason error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, waits := p.waiting[w]; waits {
		p.wake(w, reason)
	}
	return <-w.done
}

// isWanted reports whether a goroutine waits for a revision that may have no event.
func (p *position) isWanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.waiting {
		if w.quiet {
			return true
		}
	}
	return false
}

// advance moves the position, and wakes the goroutines that have waited for it.
func (p *position) advance(to place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = to
	p.head = max(p.head, to.revision)
	for w := range p.waiting {
		if to.has(w.until) {
			p.wake(w, nil)
		}
	}
}

func (p *position) wake(w *wait, err error) {
	w.done <- err
	delete(p.waiting, w)
}

// depart begins what jump ends: the replica turns to what was read of the whole prefix. The
// reading is odd meanwhile, and another even number afterwards. So a caller that finds one even
// reading before it takes a view, and when it sends what came of the view, knows that the view's
// history is the present one. The replica must change between depart and jump.
func (p *position) depart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading++
}

// jump moves the position to where everything was read. If another cluster has taken the place
// of the last, waits for the last end.
func (p *position) jump(to place) {
	p.mu.Lock()
	p.reading++
	p.head = to.revision
	for w := range p.waiting {
		if w.until.cluster != to.cluster {
			p.wake(w, errReplaced)
		}
	}
	p.mu.Unlock()
	p.advance(to)
}

// heard notes an answer of the cluster.
func (p *position) heard(head int64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.head = max(p.head, head)
	p.contact = now
}

// contactMilli returns the time of the last answer as a mark has it.
func (p *position) contactMilli() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.contact.IsZero() {
		return 0
	}
	return p.contact.UnixMilli()
}

// restore makes the position that of a mark from a file.
func (p *position) restore(m mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.head = place{m.Cluster, m.Revision}, m.Revision
	if m.Contact != 0 {
		p.contact = time.UnixMilli(m.Contact)
	}
}

// fellBehind counts a watch that was ended because the replica had not kept up.
func (p *position) fellBehind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behind++
}

func (p *position) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Following: p.following,
		Cluster:   p.at.cluster,
		Revision:  p.at.revision,
		Head:      p.head,
		Contact:   p.contact,
		Reads:     p.reading / 2,
		Restarts:  p.behind,
	}
}

// place returns where the replica stands, and the reading that it is of.
func (p *position) place() (place, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at, p.reading
}

// follow notes that the replica follows the cluster, and reports whether that is news. ctx is that
// of the session. Whatever ends a session calls unfollow after ctx has ended, so a session that has
// ended does not undo it.
func (p *position) follow(ctx context.Context) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.following || p.closed || ctx.Err() != nil {
		return false
	}
	p.following = true
	close(p.follows)
	return true
}

// unfollow notes that the replica does not follow the cluster.
func (p *position) unfollow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopFollowing()
}

// stopFollowing is unfollow for a caller that holds p.mu.
func (p *position) stopFollowing() {
	if p.following && !p.closed {
		p.following = false
		p.follows = make(chan struct{})
	}
}

// followed returns a channel that is closed once the replica follows the cluster.
func (p *position) followed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.follows
}

// close ends all waits, and those to come.
func (p *position) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.following = true, false
	for w := range p.waiting {
		p.wake(w, ErrClosed)
	}
}

// expect begins to look out for the token of an Update, before it is sent.
func (p *position) expect(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens[token] = 0
}

// unexpect ends what expect has begun.
func (p *position) unexpect(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tokens, token)
}

// sight notes the tokens of a batch that is about to be applied. Before: a caller that has a view
// of the batch must find its tokens.
func (p *position) sight(seen []sighting) {
	if len(seen) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range seen {
		if _, expected := p.tokens[s.token]; expected {
			p.tokens[s.token] = s.revision
		}
	}
}

// sighted returns the revision at which token was seen, or 0.
func (p *position) sighted(token string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tokens[token]
}

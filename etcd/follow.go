package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"

	"github.com/windevkay/forge/genie"
)

// A follower keeps the replica at the cluster. One goroutine, run, owns it and is the only
// writer of the replica. run holds one session at a time: a watch, with the goroutines that
// belong to it, from where the replica stands until the first of them fails. All of them have
// ended when a session ends.
//
//	cluster ── responses ──►  receive ──►  inbox  ──►  apply ──►  replica, position
//	   ▲                                              (run)           │ a caller waits
//	   ├─ a request for progress ───────── nudge ◄────────────────────┤
//	   └─ is it still this history? ────── check ─── every five seconds
//
//	guard ends the link, and the session with it, when the connection breaks
type follower struct {
	*Store
	mark mark // of the replica; owned by run

	// patience is how long a watch may be silent while the cluster has more. See learn.
	// Owned by run, which changes it between sessions.
	patience time.Duration

	// stalled says that the watch of the last session was silent. Owned by run.
	stalled bool

	// proved is the replica as it was when the cluster last had its witness. The newest
	// witness alone would move with what it should verify: events of another history bring
	// a witness of that history. Owned by check while a session lasts, and else by run.
	proved standing

	// outcomes has the error of a session that has failed, for Open. Capacity 1: Open needs
	// only one, and later no goroutine reads.
	outcomes chan error
}

// checkEvery is how often a session asks the cluster whether it is still the same, and
// whether the watch is alive. Checks that fail come after checkAgain.
const (
	checkEvery = 5 * time.Second
	checkAgain = time.Second
)

// maxPatience is for a watch over a slow link, in timeouts. See learn.
const maxPatience = 32

// askAgain is how long a request for progress may take before the next. The server drops
// requests that come while a watch is behind.
const askAgain = 50 * time.Millisecond

// The reasons for the end of a session that are not errors of the client of etcd.
var (
	errBroken   = fmt.Errorf("%w: the connection broke", ErrUnavailable)
	errEnded    = fmt.Errorf("%w: the watch has ended", ErrUnavailable)
	errNotBegun = fmt.Errorf("%w: the watch does not begin", ErrUnavailable)
	errStalled  = fmt.Errorf("%w: the watch is silent", ErrUnavailable)
	errBehind   = errors.New("the replica does not keep up with the cluster, and begins its watch anew")
	errHistory  = errors.New("the cluster has another history than the replica: it is another, or was restored")
)

// run follows the cluster until ctx ends.
func (f *follower) run(ctx context.Context) {
	defer f.keepContact()
	var guard sync.WaitGroup
	defer guard.Wait()
	guard.Go(func() { f.guard(ctx) })
	for pause := firstPause; ; pause = longer(pause) {
		followed, err := f.session(ctx)
		if ctx.Err() != nil {
			return
		}
		f.lost(err)
		select {
		case f.outcomes <- err:
		default:
		}
		if followed {
			pause = firstPause
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// session brings the replica to the cluster and follows the cluster until that fails. It
// reports whether the replica had reached the cluster.
func (f *follower) session(ctx context.Context) (followed bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	release := f.endWithLink(end)
	defer func() { release() }()
	sound, err := f.resume(ctx)
	if err != nil {
		return false, err
	}
	if !sound {
		release()
		f.position.cut() // what was acknowledged before may be of another history
		release = f.endWithLink(end)
		if err := f.readAll(ctx); err != nil {
			return false, err
		}
	}
	if f.stalled {
		f.takeTurns(ctx)
	}
	s := &session{follower: f, cluster: f.mark.Cluster, inbox: newInbox(f.chosen.backlog), end: end}
	from := f.mark.Revision
	err = s.hold(ctx)
	f.learn(err, f.mark.Revision > from)
	if errors.Is(err, rpctypes.ErrCompacted) {
		f.mark = mark{} // what was missed is gone, so the next session reads everything
	}
	return s.followed.Load(), err
}

// learn sets the patience of the next session. The server puts up to 1 000 transactions into one
// response. On a slow link such a response may take longer than the timeout, and the next session
// asks for the same bytes. So each session without progress has twice the patience of the last, to
// maxPatience timeouts. A session with progress brings the timeout back.
func (f *follower) learn(end error, moved bool) {
	f.stalled = errors.Is(end, errStalled)
	switch {
	case moved:
		f.patience = f.chosen.timeout
	case errors.Is(end, errStalled):
		f.patience = min(2*f.patience, maxPatience*f.chosen.timeout)
	}
}

// takeTurns makes some reads, so that the next watch is likely to be at another endpoint than the last,
// which was silent: the client takes its endpoints in turn, and each session makes as many requests
// before its watch as the last.
func (f *follower) takeTurns(ctx context.Context) {
	for range rand.N(max(1, len(f.client.Endpoints()))) {
		f.look(ctx, tokenKey, 0) // an error says nothing that the watch does not
	}
}

// guard ends the link whenever the client has lost its connection to the cluster. The client would
// connect again by itself, go on with the watch, or with the pages of a read, and not tell. But when
// a cluster is replaced by another, or restored, all its servers stop, and so the connection breaks.
// The next session begins with a look at the history.
//
// guard runs between sessions, too: a write that was acknowledged may wait for the next.
func (f *follower) guard(ctx context.Context) {
	connection := f.client.ActiveConnection()
	for {
		state := connection.GetState()
		if !connection.WaitForStateChange(ctx, state) {
			return
		}
		if state == connectivity.Ready {
			f.position.cut()
		}
	}
}

// endWithLink has a session end with the present link, until release.
func (f *follower) endWithLink(end context.CancelCauseFunc) (release func() bool) {
	link, _ := f.position.linked()
	return context.AfterFunc(link, func() { end(errBroken) })
}

// resume reports whether the replica is of the history of the cluster. If that cannot be shown,
// everything is to be read.
func (f *follower) resume(ctx context.Context) (sound bool, err error) {
	if f.mark.Revision == 0 {
		return false, nil
	}
	v, head, err := f.verify(ctx, true)
	if err != nil {
		return false, err
	}
	f.position.heard(head.revision, time.Now())
	return v == same, nil
}

// verify judges the replica as it is, and as it was when that was last proved. The client of etcd may
// have resumed the watch in another history, in the moment before the session has noticed, and the
// newest witness be of that history. So a replica whose session is anew is proved only if both are.
// Within a session the one before may have been compacted: it was proved in that session.
func (f *follower) verify(ctx context.Context, anew bool) (verdict, place, error) {
	now := f.standing()
	v, head, err := f.judge(ctx, now)
	if err == nil && v != other && f.proved.Witness.At != 0 && f.proved.Witness != now.Witness {
		var before verdict
		before, head, err = f.judge(ctx, f.proved)
		if before == other || before == unproven && anew {
			v = before
		}
	}
	if err == nil && v == same {
		f.proved = now
	}
	return v, head, err
}

// standing returns the mark with the value of its witness, both of one view.
func (s *Store) standing() (now standing) {
	s.replica.View(func(v *genie.View) error {
		text, _ := v.Get(markKey)
		now.mark, _ = parseMark(text) // Open refuses a mark that cannot be read
		now.value, _ = v.Get(now.Witness.Key)
		return nil
	})
	return now
}

// apply makes a batch part of the replica, as one step.
func (f *follower) apply(b batch) {
	f.position.sight(b.tokens)
	if b.revision == 0 {
		return
	}
	f.mark.Revision = b.revision
	if b.witness.At != 0 {
		f.mark.Witness = b.witness
	}
	f.put(b.changes)
	f.position.advance(place{f.mark.Cluster, f.mark.Revision})
}

// replace makes the replica what was read of the whole prefix, as one step.
func (f *follower) replace(changes []change, m mark) {
	f.mark, f.proved = m, standing{} // what was proved may have been of another history
	f.position.depart()
	isFirst := f.replica.Len() == 0 // Open has not returned, so no read waits
	if isFirst || len(changes) < manyChanges || f.swap(changes) != nil {
		f.put(changes)
	}
	f.position.jump(place{m.Cluster, m.Revision})
	f.log.Info("genie/etcd: read the prefix", "prefix", f.prefix, "revision", m.Revision, "changes", len(changes))
}

// put makes changes part of the replica. Entries and mark change together.
func (f *follower) put(changes []change) {
	f.replica.Update(func(tx *genie.Tx) error {
		f.write(tx, changes)
		return nil
	})
}

// write has changes and the mark become part of a store.
func (f *follower) write(tx *genie.Tx, changes []change) {
	if tx.Len() == 0 {
		tx.Clear() // so that the Tx keeps no list of a million entries to take back
	}
	for _, c := range changes {
		if c.deleted {
			tx.Delete(c.key)
		} else {
			tx.Set(c.key, c.value)
		}
	}
	f.mark.Contact = f.position.contactMilli()
	tx.Set(markKey, f.mark.String())
}

// manyChanges is from how many changes on the replica is built aside. Reads wait while an Update
// of the replica runs: for 1 to 4 microseconds a change, so for up to 40 ms
// (TestReadsGoOnWhileEverythingIsReplaced logs the times).
const manyChanges = 10_000

// swap makes the replica what it is with changes, as put does. It builds all entries aside, in a
// store of its own, and has the replica take them over by ReadFrom, so reads go on meanwhile. That
// costs time and memory in proportion to all entries. An error would be one of genie: swap has
// changed nothing then, and put does the same work.
func (f *follower) swap(changes []change) error {
	whole, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		return err
	}
	defer whole.Close()
	err = whole.Update(func(tx *genie.Tx) error {
		tx.Clear()
		for key, value := range f.replica.All() {
			tx.Set(key, value)
		}
		f.write(tx, changes)
		return nil
	})
	if err != nil {
		return err
	}
	return copyTo(f.replica, whole)
}

// copyTo makes the entries of a replica those of another store, in one step.
func copyTo(replica, whole *genie.Store) error {
	from, to := io.Pipe()
	var writing sync.WaitGroup
	defer writing.Wait()
	defer from.Close() // ends the writing if reading has failed
	writing.Go(func() {
		_, err := whole.WriteTo(to)
		to.CloseWithError(err)
	})
	_, err := replica.ReadFrom(from)
	return err
}

// keepContact writes the time of the last answer into the replica, for the next start: on a quiet
// prefix, the last change may be much older.
func (f *follower) keepContact() {
	m := f.standing().mark
	if m.Revision == 0 {
		return // nothing was read yet
	}
	m.Contact = f.position.contactMilli()
	f.replica.Set(markKey, m.String())
}

// A session is one watch. hold ends it for the reason that the first of its goroutines gives.
type session struct {
	*follower
	cluster  uint64 // that the watch is of
	inbox    *inbox
	followed atomic.Bool             // the replica has reached the cluster
	end      context.CancelCauseFunc // ends all parts of the session
}

// hold watches the prefix, from behind the mark, until the watch fails or ctx ends.
func (s *session) hold(ctx context.Context) error {
	// The watcher of the client is shared by all its users, with one stream and its requests
	// for progress. And a request for progress after the end of a watch would open a
	// stream that no watch ends.
	watcher := clientv3.NewWatcher(s.client)
	defer watcher.Close()
	ctx = clientv3.WithRequireLeader(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer s.end(nil)
	events := s.begin(ctx, watcher)
	parts.Go(func() { s.receive(ctx, events) })
	parts.Go(func() { s.nudge(ctx, watcher) })
	parts.Go(func() { s.check(ctx) })
	for {
		select {
		case <-s.inbox.arrived:
			s.apply(fold(s.inbox.take(), s.prefix, s.mark.Revision))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// begin starts the watch. The client waits without a bound for the answer of a server that hangs.
func (s *session) begin(ctx context.Context, watcher clientv3.Watcher) clientv3.WatchChan {
	late := time.AfterFunc(s.chosen.timeout, func() { s.end(errNotBegun) })
	defer late.Stop()
	return watcher.Watch(ctx, s.prefix, clientv3.WithRange(s.prefixEnd), clientv3.WithRev(s.mark.Revision+1))
}

// receive puts the responses into the inbox until the watch or the session ends.
func (s *session) receive(ctx context.Context, events clientv3.WatchChan) {
	for {
		select {
		case response, ok := <-events:
			if !ok {
				s.end(errEnded)
				return
			}
			if err := s.accept(response); err != nil {
				s.fail(err)
				return
			}
		case <-ctx.Done(): // a client that cannot reach the cluster may keep the channel open
			return
		}
	}
}

func (s *session) accept(response clientv3.WatchResponse) error {
	switch {
	case response.Err() != nil:
		return ofRead(response.Err())
	case response.Header.ClusterId != s.cluster:
		return errHistory
	}
	s.position.heard(response.Header.Revision, time.Now())
	if !s.inbox.put(response) {
		s.position.fellBehind()
		return errBehind
	}
	return nil
}

// nudge asks the cluster how far the watch is while a caller waits for a revision that may have
// no event under the prefix. Without that, a wait on a quiet prefix would last for ever.
func (s *session) nudge(ctx context.Context, watcher clientv3.Watcher) {
	for {
		var again <-chan time.Time
		if s.position.isWanted() {
			watcher.RequestProgress(ctx) // an error is that of ctx, or of a watch that has ended
			again = time.After(askAgain)
		}
		select {
		case <-s.position.wanted:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// check looks again and again whether the cluster answers, has the replica's history, and
// still sends what happens.
func (s *session) check(ctx context.Context) {
	for {
		pause := checkEvery
		if err := s.checkOnce(ctx); err != nil {
			if !s.followed.Load() {
				s.end(err) // Open waits, and is to know
				return
			}
			s.lost(err)
			pause = checkAgain
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (s *session) checkOnce(ctx context.Context) error {
	link, _ := s.position.linked()
	before := s.Revision()
	v, head, err := s.verify(ctx, false)
	switch {
	case err != nil:
		return err
	case v == other:
		s.fail(errHistory)
		return nil
	}
	s.position.heard(head.revision, time.Now())
	switch err := s.position.reach(ctx, receipt{head, link}, true, s.patienceNow()); {
	case ctx.Err() != nil:
	case err == nil:
		s.reached(ctx)
	case s.Revision() == before:
		s.end(errStalled)
	}
	return nil // if the replica is behind all the same, the watch has much to send
}

// patienceNow returns the patience that was learnt until the replica has reached the cluster, and
// then the timeout: a watch that hangs later is to be found soon.
func (s *session) patienceNow() time.Duration {
	if s.followed.Load() {
		return s.chosen.timeout
	}
	return s.patience
}

// fail ends the session, and has the replica not follow the cluster at once: writes must not wait for
// run to notice, or go to another history meanwhile.
func (s *session) fail(reason error) {
	s.end(reason)
	if reason == errHistory {
		s.position.cut()
	} else {
		s.position.unfollow()
	}
}

// reached notes that the replica follows the cluster.
func (s *session) reached(ctx context.Context) {
	s.followed.Store(true)
	if s.position.follow(ctx) {
		s.log.Info("genie/etcd: follow the cluster", "prefix", s.prefix, "revision", s.Revision())
	}
}

// lost notes that the replica does not follow the cluster any more, or still not.
func (f *follower) lost(err error) {
	f.position.unfollow()
	f.report(err)
}

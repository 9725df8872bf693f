package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie"
)

// tokenKey is the key, behind the prefix, to which every Update writes its token: the key of the
// cluster that is the prefix itself. No entry of a user has it, for the same reason as markKey.
const tokenKey = ""

// maxTries is how often an Update tries before it gives ErrConflict. With the pauses between
// them, 64 callers of one key all come through (TestUpdatesOfOneCounter).
const maxTries = 32

// maxCopies is how often an Update sends the same transaction again because no answer came. With
// the pauses between them, ten copies take six seconds, which is longer than an election.
const maxCopies = 10

// Update calls fn with a Tx that reads the replica at one revision, and then has the cluster
// apply the writes of fn as one transaction, if no key that fn has read was written since. If
// one was, Update waits until the replica has that write and calls fn again, up to 32 times. So
// fn must not do anything that must be done once. Update returns nil when the quorum has the
// writes on disk and this replica shows them, all or nothing. The writes are those of the last
// call of fn, and so are the values that fn has put into variables; no earlier call was applied.
//
// If fn returns an error, nothing is written and Update returns that error. If fn writes
// nothing, nothing is sent: its reads are those of a [Store.View], but Update waits until the
// replica follows the cluster, and gives [ErrUnavailable] where View would go on. In both cases
// the replica that fn has read may be behind the cluster; call [Store.Sync] first where that
// matters.
//
// The errors are those of [Store.Set], and [ErrConflict] after the last try, or if ctx ends in the
// pause between two tries: no write of fn was applied then. An error that is [ErrQuota] and not
// [ErrUnknown] also says that nothing was written. [ErrTooLarge] is also given for more operations
// than the cluster allows, 128 by default. A write counts as one operation, and Update adds one of
// its own. Comparisons are counted apart: a key that was read counts as two if it was there, and as
// one if not.
//
// If a connection breaks, the cluster may have applied a try or not. Update then looks: every
// transaction leaves a token in the cluster, and the replica sees all tokens. Update returns nil if
// it finds its own. If not, it sends the same transaction again if the first and the second cannot
// both be applied, and calls fn again only if the first can no longer be applied. Else it returns
// [ErrUnknown]: also at the end of ctx, after ten such copies without an answer, and if the cluster
// has not come back after four times the time of [WithTimeout]. If ctx ends before the time of
// WithTimeout has passed, Update has no time to look, and returns ErrUnknown, too. With ErrUnknown,
// the last call of fn may be applied, and no earlier one.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	token := s.name + "/" + strconv.FormatUint(s.updates.Add(1), 36)
	s.position.expect(token)
	defer s.position.unexpect(token)
	u := &update{store: s, fn: fn, token: token}
	return u.run(ctx)
}

// An update is one call of Update.
type update struct {
	store *Store
	fn    func(tx *Tx) error
	token string
}

func (u *update) run(ctx context.Context) error {
	for try := 1; ; try++ {
		tx, err := u.store.evaluate(ctx, u.fn)
		if err != nil || len(tx.writes) == 0 {
			return err
		}
		began := time.Now()
		at, won, err := u.commit(ctx, tx)
		took := time.Since(began)
		if errors.Is(err, ErrUnknown) {
			at, won, err = u.settle(ctx, tx, err)
		}
		switch {
		case err == nil && won:
			err = u.store.visible(ctx, at, change{key: tokenKey, value: u.token})
		case err == nil:
			if err = u.catchUp(ctx, at, try, took); err == nil {
				continue
			}
		}
		if err != nil {
			err = fmt.Errorf("genie/etcd: update: %w", err)
		}
		return err
	}
}

// The errors of an Update that cannot tell whether a try was applied, beside those of a request.
var (
	errOpen    = fmt.Errorf("%w: a try without an answer may still be applied", ErrUnknown)
	errMissing = fmt.Errorf("%w: the history since a try without an answer is lost", ErrUnknown)
)

// settle finds out what became of a try of which no answer came, and reports whether it was
// applied. If it was not, it never will be.
//
// The argument. The lost try T has read a view of revision R. The replica has reached a revision N that
// is newer than the loss, and all tokens up to N were seen, but not that of T. So T was not applied up
// to N. It may be applied later: a request can wait in a network or in a server that was
// stopped. There are two ways out.
//
//  1. A key that T has read and found has another value at N, or is not there. So it was written
//     after R, and T's comparison with that key fails for ever: either the key is missing, or its
//     revision is above R. T is dead.
//  2. T has read and found a key that it writes, too. Then T and a copy of T exclude each other:
//     if one is applied, the key is missing or has a revision above R, and the other fails for
//     ever. So the copy is sent. If it wins, the try was applied, once. If not, and T has found
//     all keys that it has read, T is dead or was applied, and its token tells.
//
// A key that was missing does not serve: T can make it, another caller delete it, and the copy
// find it missing again. An Update that has read no key that it writes, or has found none,
// therefore ends with ErrUnknown. fn is not called before T is dead: what fn has put into
// variables is then of a try that was not applied.
//
// A cluster that answers reads and fails every transaction would have settle send copies for
// ever, so after maxCopies of them the outcome stays unknown.
//
// A request that has passed the quota was answered, so it is not under way: if its token is not
// there, it is dead.
func (u *update) settle(ctx context.Context, lost *Tx, cause error) (at receipt, won bool, err error) {
	answered := errors.Is(cause, ErrQuota)
	for copies, pause := 0, firstPause; ; copies, pause = copies+1, longer(pause) {
		if !u.synced(ctx) {
			return at, false, marked(ErrUnknown, cause)
		}
		at, fate, err := u.fate(lost)
		switch {
		case err != nil:
			return at, false, joined(err, cause)
		case fate != undecided:
			return at, fate == applied, nil
		case answered:
			return at, false, refusedByQuota(cause)
		case !lost.excludesItself(), copies == maxCopies, copies > 0 && !sleep(ctx, pause):
			return at, false, joined(errOpen, cause, reasonOf(ctx))
		}
		answered = false
		at, won, err = u.commit(ctx, lost)
		switch {
		case err == nil && won:
			return at, true, nil
		case err == nil:
			return u.overtaken(ctx, lost, at, cause)
		case !errors.Is(err, ErrUnknown) || errors.Is(err, ErrQuota):
			return at, false, u.unsettled(ctx, cause, err)
		}
	}
}

// unsettled returns the error of a try that is still open when its copy has failed. The error of
// the copy says nothing about the try, so errors.Is must not find it: it may be an ErrUnavailable,
// which promises that nothing was written. The end of ctx and a Close are found.
func (u *update) unsettled(ctx context.Context, cause, ofCopy error) error {
	reason := fmt.Errorf("its copy: %v", ofCopy)
	return joined(errOpen, cause, reason, reasonOf(ctx), reasonOf(u.store.life))
}

// refusedByQuota returns an error without the doubt that ofWrite adds.
func refusedByQuota(cause error) error {
	var answer rpctypes.EtcdError
	errors.As(cause, &answer)
	return marked(ErrQuota, answer)
}

// overtaken is the end of settle for a copy of which a comparison has failed, at a place.
func (u *update) overtaken(ctx context.Context, lost *Tx, failed receipt, cause error) (at receipt, won bool, err error) {
	err = u.store.caughtUp(ctx, failed)
	if err != nil && !(errors.Is(err, errCut) && u.synced(ctx)) {
		return failed, false, u.unsettled(ctx, cause, err)
	}
	at, fate, err := u.fate(lost)
	if err == nil && fate == undecided && lost.hasMissed() {
		err = errOpen // the key that was missing may go away again
	}
	if err != nil {
		err = joined(err, cause)
	}
	return at, fate == applied, err
}

// A fate is what the replica shows of a try of which no answer came.
type fate int

const (
	undecided fate = iota // it was not applied up to the view, and may be later
	applied
	dead // it was not applied, and never will be
)

// fate looks for the token of a try, and whether a key that it had found was written since. If
// everything was read anew, the token may have been among what was missed.
func (u *update) fate(lost *Tx) (at receipt, f fate, err error) {
	position := u.store.position
	at.link, _ = position.linked()
	u.store.replica.View(func(v *genie.View) error {
		if lost.isDeadIn(v.Get) {
			f = dead
		}
		return nil
	})
	// After the view: all tokens up to the view were seen before it, and a read of everything
	// that the view has is counted, or has begun.
	var reading uint64
	at.place, reading = position.place()
	if reading != lost.reading {
		return at, undecided, errMissing
	}
	if revision := position.sighted(u.token); revision != 0 {
		at.revision, f = revision, applied
	}
	return at, f, nil
}

// isDeadIn reports whether a key that tx had found was written, or deleted.
func (tx *Tx) isDeadIn(get func(key string) (string, bool)) bool {
	for key, before := range tx.reads {
		value, exists := get(key)
		if before.exists && (read{value, exists}) != before {
			return true
		}
	}
	return false
}

// excludesItself reports whether tx and a copy of it cannot both be applied.
func (tx *Tx) excludesItself() bool {
	for key := range tx.writes {
		if tx.reads[key].exists {
			return true
		}
	}
	return false
}

// hasMissed reports whether tx has read a key that was not there.
func (tx *Tx) hasMissed() bool {
	for _, r := range tx.reads {
		if !r.exists {
			return true
		}
	}
	return false
}

// commit has the cluster apply tx, and reports whether all comparisons held. If everything was
// read anew since tx was evaluated, its revision may be of another history, in which a
// comparison means nothing, and tokens may have been missed. Then commit sends nothing and reports
// that they did not hold.
func (u *update) commit(ctx context.Context, tx *Tx) (at receipt, won bool, err error) {
	s := u.store
	conditions, operations := tx.plan(s.prefix, u.token)
	at, err = s.write(ctx, func(ctx context.Context) (place, error) {
		if now, reading := s.position.place(); reading != tx.reading || reading%2 != 0 {
			return now, nil
		}
		answer, err := s.kv.Txn(ctx).If(conditions...).Then(operations...).Commit()
		if err != nil {
			return place{}, err
		}
		won = answer.Succeeded
		return placeOf(answer.Header), nil
	}, ofWrite)
	return at, won, err
}

// catchUp waits until the replica has the write that a try has met. From the second such try on
// it also pauses, so that callers that meet each other come apart: the pauses double, from the
// time that the try took, which is what each of n callers needs for itself, to 256 times that.
func (u *update) catchUp(ctx context.Context, at receipt, try int, took time.Duration) error {
	if try == maxTries {
		return ErrConflict
	}
	// The next try waits for the next link by itself.
	if err := u.store.caughtUp(ctx, at); err != nil && !errors.Is(err, errCut) {
		return err
	}
	if try > 1 && !sleep(ctx, min(took<<min(try-1, 8), longestPause)) {
		return marked(ErrConflict, reasonOf(ctx))
	}
	return nil
}

// synced waits until the replica shows all that was acknowledged before, and reports whether it
// does. If the cluster does not come back, it does not.
func (u *update) synced(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 4*u.store.chosen.timeout)
	defer cancel()
	for pause := firstPause; ; pause = longer(pause) {
		if u.store.sync(ctx) == nil {
			return true
		}
		if u.store.life.Err() != nil || !sleep(ctx, pause) {
			return false
		}
	}
}

// A Tx reads the replica at one revision, and collects writes, on behalf of the function of a
// [Store.Update]. It must be used by one goroutine at a time. It ends with the function: using
// it afterwards panics.
//
// A Tx has no All and no Len: a transaction of etcd can compare keys, and not the set of keys
// under a prefix. A loop belongs in a [Store.View]. A decision that rests on the loop must
// stay right whatever other callers add, or all callers must write one key that the Update reads.
type Tx struct {
	get     func(key string) (string, bool) // of a view
	at      place                           // of the view
	reading uint64                          // that the view is of, if commit still finds it

	reads  map[string]read
	writes map[string]change
	order  []string // of the keys of writes
	misuse error
	ended  bool
}

// A read is what the function of an Update was told about a key.
type read struct {
	value  string
	exists bool
}

// evaluate calls fn with a Tx of the replica as it is now, once the replica follows the cluster.
func (s *Store) evaluate(ctx context.Context, fn func(tx *Tx) error) (tx *Tx, err error) {
	if err := s.awaitFollowing(ctx); err != nil {
		return nil, fmt.Errorf("genie/etcd: update: %w", err)
	}
	at, reading := s.position.place()
	err = s.replica.View(func(v *genie.View) error {
		text, _ := v.Get(markKey)
		at.revision = revisionIn(text)
		tx = newTx(v.Get, at, reading)
		defer func() { tx.ended = true }()
		if err := fn(tx); err != nil {
			return err
		}
		return tx.misuse
	})
	return tx, err
}

func newTx(get func(string) (string, bool), at place, reading uint64) *Tx {
	return &Tx{get: get, at: at, reading: reading, reads: make(map[string]read), writes: make(map[string]change)}
}

// use panics if the function has returned.
func (tx *Tx) use() {
	if tx.ended {
		panic("genie/etcd: Tx used after its function has returned")
	}
}

// Get returns the value of key and reports whether key is there. It sees the writes of this
// transaction. If another caller writes the key, or makes it, before the transaction is
// applied, the transaction is tried again.
func (tx *Tx) Get(key string) (string, bool) {
	tx.use()
	if key == markKey {
		return "", false
	}
	if w, written := tx.writes[key]; written {
		return w.value, !w.deleted
	}
	value, exists := tx.get(key)
	tx.reads[key] = read{value, exists}
	return value, exists
}

// Set gives key a value. key must not be empty, or the Update fails. Set removes the lease that
// the key had.
func (tx *Tx) Set(key, value string) { tx.write(change{key: key, value: value}) }

// Delete removes key, if it is there.
func (tx *Tx) Delete(key string) { tx.write(change{key: key, deleted: true}) }

func (tx *Tx) write(c change) {
	tx.use()
	if c.key == markKey {
		tx.misuse = fmt.Errorf("genie/etcd: update: %w", errEmptyKey)
		return
	}
	if _, again := tx.writes[c.key]; !again {
		tx.order = append(tx.order, c.key)
	}
	tx.writes[c.key] = c
}

// plan returns the transaction of tx. At revision R a key that was there is unchanged if it
// still exists and was last written before R+1, and one that was missing if it still does not
// exist. The existence has a comparison of its own because a missing key counts as written at
// revision 0. No revision of a key is needed, so the replica keeps none.
func (tx *Tx) plan(prefix, token string) (conditions []clientv3.Cmp, operations []clientv3.Op) {
	for key, was := range tx.reads {
		conditions = append(conditions, unchanged(prefix+key, was.exists, tx.at.revision)...)
	}
	for _, key := range tx.order {
		operations = append(operations, operation(prefix, tx.writes[key]))
	}
	return conditions, append(operations, clientv3.OpPut(prefix+tokenKey, token))
}

func unchanged(key string, exists bool, since int64) []clientv3.Cmp {
	if !exists {
		return []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)}
	}
	return []clientv3.Cmp{
		clientv3.Compare(clientv3.ModRevision(key), "<", since+1),
		clientv3.Compare(clientv3.CreateRevision(key), ">", 0),
	}
}

func operation(prefix string, c change) clientv3.Op {
	if c.deleted {
		return clientv3.OpDelete(prefix + c.key)
	}
	return clientv3.OpPut(prefix+c.key, c.value)
}

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie"
)

// tokenKey is the key, behind the prefix, to which every Update writes its token: the key of the
// cluster that is the prefix itself. No entry of a user has it, for the same reason as markKey.
const tokenKey = ""

// maxTries is how often an Update tries before it gives ErrConflict. With the pauses between
// them, 64 callers of one key all come through (TestUpdatesOfOneCounter).
const maxTries = 32

// Update calls fn with a Tx that reads the replica at one revision, and then has the cluster
// apply the writes of fn as one transaction, if no key that fn has read was written since. If
// one was, Update waits until the replica has that write and calls fn again, up to 32 times. So
// fn must not do anything that must be done once. Update returns nil when the quorum has the
// writes on disk and this replica shows them, all or nothing.
//
// If fn returns an error, nothing is written and Update returns that error. If fn writes
// nothing, nothing is sent: its reads are those of a [Store.View].
//
// The errors are those of [Store.Set], and [ErrConflict] after the last try: no write of fn
// was applied then. [ErrTooLarge] is also given for more operations than the cluster allows,
// 128 by default. A write counts as one operation, and Update adds one of its own. Comparisons
// are counted apart: a key that was read counts as two if it was there, and as one if not.
//
// If a connection breaks, the cluster may have applied a try or not. Update then looks: every
// transaction leaves a token in the cluster, and the replica sees all tokens. Update returns nil
// if it finds its own, and tries again only if the lost try and the new one cannot both be
// applied. Else it returns [ErrUnknown]: also at the end of ctx, and if the cluster has not come
// back after four times the time of [WithTimeout]. A ctx that ends before WithTimeout does leaves
// no time to look.
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
	lost  []*Tx // tries of which no answer came, and that were not applied when Update looked
}

func (u *update) run(ctx context.Context) error {
	for try := 1; ; try++ {
		tx, err := u.store.evaluate(ctx, u.fn)
		if err != nil {
			return u.abandon(err)
		}
		if len(tx.writes) == 0 && len(u.lost) == 0 {
			return nil
		}
		if done, err := u.settle(ctx, tx); done {
			return err
		}
		began := time.Now()
		at, won, err := u.commit(ctx, tx)
		switch {
		case err == nil && won:
			return u.shown(ctx, at)
		case err == nil:
			err = u.catchUp(ctx, at, try, time.Since(began))
		case errors.Is(err, ErrUnknown):
			err = u.lose(ctx, tx, err)
		}
		if err != nil {
			return u.fail(err)
		}
	}
}

// abandon returns the error of fn as it is, unless that would promise too much.
func (u *update) abandon(err error) error {
	if len(u.lost) > 0 {
		return u.fail(err)
	}
	return err
}

// fail returns the error of the Update. With a lost try, no error can promise that nothing was
// written.
func (u *update) fail(err error) error {
	if len(u.lost) > 0 {
		err = marked(ErrUnknown, err)
	}
	return fmt.Errorf("genie/etcd: update: %w", err)
}

func (u *update) shown(ctx context.Context, at place) error {
	if err := u.store.visible(ctx, at, false); err != nil {
		return fmt.Errorf("genie/etcd: update: %w", err)
	}
	return nil
}

// settle looks what became of the lost tries, and reports whether the Update is done: one of
// them was applied, or next must not be sent because a lost try could be applied as well.
//
// The argument. Let L be a lost try, with the view of revision l, and N the next one, with the
// view of revision n. All tokens up to n were seen when N's view was taken, and L's was not among
// them. So L was not applied up to n. It may be applied later: a request can wait in a network
// or in a server that was stopped. N is sent if one of these holds for each lost try.
//
//  1. L can never be applied. A key that L has read and found has another value in N's view, or
//     is not there. So it was written after l, and L's comparison with that key fails for ever:
//     either the key is missing, or its revision is above l.
//  2. L and N exclude each other. Both have read and found one key, and both write it. If L is
//     applied after n and before N, the key is missing or has a revision above n, and N fails. If
//     N is applied first, the key is missing or has a revision above l, and L fails for ever.
//
// A key that was missing does not serve: L can make it, another caller delete it, and N find it
// missing again. An Update that has read no key that it writes, or has found none, therefore ends
// with ErrUnknown.
//
// If everything was read anew since L, its token may have been among what was missed.
func (u *update) settle(ctx context.Context, next *Tx) (done bool, err error) {
	if len(u.lost) == 0 {
		return false, nil
	}
	if at := u.store.position.sighted(u.token); at != 0 {
		return true, u.shown(ctx, place{next.at.cluster, at})
	}
	for _, lost := range u.lost {
		switch {
		case lost.reading != next.reading:
			return true, u.fail(errors.New("the history since a try without an answer is lost"))
		case !refutes(next, lost) && !excludes(next, lost):
			return true, u.fail(errors.New("a try without an answer may still be applied"))
		}
	}
	return false, nil
}

// refutes reports whether next has found that a key was written which lost had read and found.
func refutes(next, lost *Tx) bool {
	for key, before := range lost.reads {
		now, known := next.reads[key]
		if known && before.exists && now != before {
			return true
		}
	}
	return false
}

// excludes reports whether two tries have both read and found, and both write, one key.
func excludes(next, lost *Tx) bool {
	for key := range lost.writes {
		_, writes := next.writes[key]
		if writes && lost.reads[key].exists && next.reads[key].exists {
			return true
		}
	}
	return false
}

// commit has the cluster apply tx, and reports whether all comparisons held. If everything was
// read anew since tx was evaluated, its revision may be of another history, in which a
// comparison means nothing, and tokens may have been missed. Then commit sends nothing and reports
// that they did not hold.
func (u *update) commit(ctx context.Context, tx *Tx) (at place, won bool, err error) {
	s := u.store
	conditions, operations := tx.plan(s.prefix, u.token)
	at, err = s.write(ctx, func(ctx context.Context) (place, error) {
		if now, reading := s.position.place(); reading != tx.reading || reading%2 != 0 {
			return now, nil
		}
		answer, err := s.client.Txn(ctx).If(conditions...).Then(operations...).Commit()
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
func (u *update) catchUp(ctx context.Context, at place, try int, took time.Duration) error {
	if try == maxTries {
		return ErrConflict
	}
	if err := u.store.caughtUp(ctx, at); err != nil {
		return err
	}
	if try > 1 && !sleep(ctx, min(took<<min(try-1, 8), longestPause)) {
		return marked(ErrConflict, context.Cause(ctx))
	}
	return nil
}

// lose notes a try of which no answer came, and waits until the replica shows all that was
// acknowledged before. If the cluster does not come back, the outcome stays unknown.
func (u *update) lose(ctx context.Context, tx *Tx, cause error) error {
	u.lost = append(u.lost, tx)
	ctx, cancel := context.WithTimeout(ctx, 4*u.store.chosen.timeout)
	defer cancel()
	for pause := firstPause; ; pause = longer(pause) {
		err := u.store.sync(ctx)
		if err == nil {
			return nil
		}
		if u.store.life.Err() != nil || !sleep(ctx, pause) {
			return cause
		}
	}
}

// A Tx reads the replica at one revision, and collects writes, on behalf of the function of a
// [Store.Update]. It must be used by one goroutine at a time. It ends with the function: using
// it afterwards panics.
//
// A Tx has no All and no Len: a transaction of etcd can compare keys, and not the set of keys
// under a prefix. A loop belongs in a [Store.View]; what it decides must hold whatever other
// callers add, or hang on a key that all of them write.
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

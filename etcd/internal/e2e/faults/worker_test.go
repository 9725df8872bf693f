package faults

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/windevkay/forge/genie/etcd"
	"github.com/windevkay/forge/genie/etcd/internal/e2e/history"
)

// The workers of each replica.
const (
	writers  = 8
	swappers = 4
	groups   = 12 // pairs of keys that all workers share; fewer would only meet in conflicts
	calm     = 8  // more such pairs, which are written so seldom that entries live until their leases end
)

// calmPause is how long a worker waits between its writes of calm groups. So each of their keys is
// written about every seven seconds.
const calmPause = 15 * time.Second

// calmPrefix begins the keys of calm groups. No worker deletes them, so each that goes away has ended.
const calmPrefix = "calm/"

func keyOf(g history.Group, key int) string {
	if g >= groups {
		return fmt.Sprintf("%s%d/%d", calmPrefix, g, key)
	}
	return fmt.Sprintf("shared/%d/%d", g, key)
}

// A worker is a goroutine that calls one replica.
type worker struct {
	*run
	*replica
	id   int    // among the workers of the run
	call int    // the number of the next call
	own  string // the value of a key of its own that it may delete, or ""

	stirred int       // how many writes of calm groups it has made
	stirs   time.Time // when it makes the next
}

// unique returns a value that no other call writes.
func (w *worker) unique() string {
	w.call++
	return fmt.Sprintf("%d.%d", w.id, w.call)
}

func (w *worker) group() history.Group { return history.Group((w.id*7 + w.call*5) % groups) }

func (w *worker) calmGroup() history.Group {
	return groups + history.Group((w.id*5+w.stirred*7)%calm)
}

func (w *worker) anyGroup() history.Group {
	return history.Group((w.id*7 + w.call*5) % (groups + calm))
}

// ttl returns a time to live. It is longer than the two requests of a SetWithTTL may take, so a lease
// does not end before its key is written.
func (w *worker) ttl() time.Duration { return time.Duration(2+w.call%w.ttls) * time.Second }

// write carries out a write with the patience of a caller, and counts its outcome.
func (w *worker) write(what string, do func(context.Context) error) outcome {
	ctx, cancel := context.WithTimeout(w.ctx, w.patience)
	defer cancel()
	err := do(ctx)
	o := w.counts.count(err)
	if o == unclear {
		w.findings.add("%s: an error of no documented class: %v", what, err)
	}
	if o != acknowledged {
		w.lastError.Store(&err)
		time.Sleep(time.Millisecond) // a refusal that takes no time must not take the processor
	}
	return o
}

// record adds a call to the history by its outcome.
func (w *worker) record(o outcome, called int64, c history.Call) {
	switch o {
	case acknowledged:
		w.history.Acknowledged(w.id, called, c)
	case unknown:
		w.history.Unknown(w.id, called, c)
	case refused:
		w.history.Refused(c)
	}
}

// writeOn sets, deletes and reads until the run stops.
func (w *worker) writeOn() {
	for n := 0; !w.stopped(); n++ {
		switch {
		case w.mayStir():
			w.stir()
		case n%20 == 7:
			w.delete(w.group(), n%2)
		case n%20 == 11:
			w.setFor(w.group(), n/20%2, w.ttl())
		case n%12 == 8:
			w.deleteOwn()
		case n%20 == 16:
			w.setOwnFor()
		case n%4 == 0:
			w.setOwn(w.unique())
		case n%4 == 1:
			w.read(w.anyGroup())
		default:
			w.set(w.group(), n%2)
		}
	}
}

func (w *worker) set(g history.Group, key int) {
	value, called := w.unique(), w.history.Now()
	o := w.write("Set", func(ctx context.Context) error { return w.store.Set(ctx, keyOf(g, key), value) })
	w.record(o, called, history.Set(g, key, value))
}

// setFor sets a key for a time that the cluster counts from after the begin of the call on.
func (w *worker) setFor(g history.Group, key int, ttl time.Duration) {
	value, called := w.unique(), w.history.Now()
	o, _ := w.setWithTTL(keyOf(g, key), value, ttl)
	w.record(o, called, history.SetFor(g, key, value, ttl))
}

func (w *worker) setWithTTL(key, value string, ttl time.Duration) (outcome, error) {
	var err error
	o := w.write("SetWithTTL", func(ctx context.Context) error {
		err = w.store.SetWithTTL(ctx, key, value, ttl)
		return err
	})
	if o == acknowledged {
		w.counts.timed.Add(1)
	}
	return o, err
}

// mayStir reports whether it is time to write to a calm group.
func (w *worker) mayStir() bool {
	now := time.Now()
	if now.Before(w.stirs) {
		return false
	}
	w.stirs = now.Add(calmPause)
	return true
}

// stir gives a calm key a lease, or takes it off one.
func (w *worker) stir() {
	g, key := w.calmGroup(), w.stirred/2%2
	w.stirred++
	if w.stirred%3 == 0 {
		w.set(g, key)
	} else {
		w.setFor(g, key, w.ttl())
	}
}

func (w *worker) delete(g history.Group, key int) {
	w.call++
	called := w.history.Now()
	o := w.write("Delete", func(ctx context.Context) error { return w.store.Delete(ctx, keyOf(g, key)) })
	w.record(o, called, history.Delete(g, key))
}

// setOwnFor sets a key of its own for a time. Half of the keys it then takes off the lease, if its
// outcome is known: a lost SetWithTTL may come after a Set, and end it.
func (w *worker) setOwnFor() {
	value, ttl, begun := w.unique(), w.ttl(), time.Now()
	key := "own/" + value
	o, err := w.setWithTTL(key, value, ttl)
	got, ok := w.store.Get(key)
	if err == nil && got != value && time.Since(begun) < ttl {
		w.findings.add("replica %d: SetWithTTL of %q has returned, and Get gives %q (%t)", w.number, key, got, ok)
	}
	if o == unknown || w.call%2 == 0 {
		w.ledger.ending(key, value)
	} else {
		w.setOwn(value)
	}
}

// setOwn sets a key that is written this once without a lease, and reads it back without a Sync.
func (w *worker) setOwn(value string) {
	key := "own/" + value
	var err error
	o := w.write("Set", func(ctx context.Context) error {
		err = w.store.Set(ctx, key, value)
		return err
	})
	w.ledger.add(o, key, value)
	if err != nil {
		return
	}
	w.own = value
	if got, ok := w.store.Get(key); got != value || !ok {
		w.findings.add("replica %d: Set of %q has returned, and Get gives %q (%t)", w.number, key, got, ok)
	}
}

// deleteOwn deletes the newest key that setOwn has set, for good.
func (w *worker) deleteOwn() {
	value := w.own
	if value == "" {
		return
	}
	key := "own/" + value
	w.own = ""
	w.ledger.deleting(key)
	var err error
	o := w.write("Delete", func(ctx context.Context) error {
		err = w.store.Delete(ctx, key)
		return err
	})
	w.ledger.deletion(o, key, value)
	if _, ok := w.store.Get(key); ok && err == nil {
		w.findings.add("replica %d: Delete of %q has returned, and Get finds it", w.number, key)
	}
}

func (w *worker) read(g history.Group) {
	w.call++
	called := w.history.Now()
	ctx, cancel := context.WithTimeout(w.ctx, w.patience)
	defer cancel()
	if err := w.sync(ctx, w.store); err != nil {
		w.counts.unread.Add(1)
		return
	}
	saw, err := look(w.store, g)
	if err != nil {
		w.findings.add("replica %d: %v", w.number, err)
	}
	w.counts.read.Add(1)
	w.history.Acknowledged(w.id, called, history.Read(g, saw))
}

// look returns the values of a group in one view, and an error if the view shows half a transfer.
func look(store *etcd.Store, g history.Group) (saw history.Pair, err error) {
	err = store.View(func(v *etcd.View) error {
		saw = pairIn(v, g)
		return audit(v)
	})
	return saw, err
}

func pairIn(g getter, group history.Group) (p history.Pair) {
	for key := range p {
		p[key], _ = g.Get(keyOf(group, key))
	}
	return p
}

// swapOn updates until the run stops.
func (w *worker) swapOn() {
	for n := 0; !w.stopped(); n++ {
		switch n % 4 {
		case 0:
			w.transfer()
		case 1:
			w.increment()
		case 2:
			w.swap(w.group(), [2]bool{true, true})
		case 3: // one key is only read
			w.swap(w.group(), [2]bool{n%8 == 3, n%8 != 3})
		}
		if w.mayStir() { // an Update takes a key off its lease, too
			w.swap(w.calmGroup(), [2]bool{n%2 == 0, n%2 != 0})
			w.stirred++
		}
	}
}

// update runs an Update and counts the runs of fn.
func (w *worker) update(fn func(tx *etcd.Tx) error) outcome {
	runs := int64(0)
	o := w.write("Update", func(ctx context.Context) error {
		return w.store.Update(ctx, func(tx *etcd.Tx) error {
			runs++
			return fn(tx)
		})
	})
	w.counts.conflicts.Add(max(0, runs-1))
	return o
}

// swap reads both keys of a group and writes some. Each run of the function writes values of its
// own. If the Update is acknowledged, its last run has taken effect and the others have not. If the
// outcome is unknown, each run may have.
func (w *worker) swap(g history.Group, writes [2]bool) {
	var runs []history.Call
	called := w.history.Now()
	o := w.update(func(tx *etcd.Tx) error {
		c := history.Call{Group: g, Reads: true, Saw: pairIn(tx, g), Writes: writes}
		for key, wanted := range writes {
			if wanted {
				c.Values[key] = w.unique()
				tx.Set(keyOf(g, key), c.Values[key])
			}
		}
		runs = append(runs, c)
		return nil
	})
	for n, c := range runs {
		if o == acknowledged && n < len(runs)-1 {
			w.record(refused, called, c)
		} else {
			w.record(o, called, c)
		}
	}
}

func (w *worker) transfer() {
	w.call++
	n := w.call
	var failure error
	o := w.update(func(tx *etcd.Tx) error {
		failure = transfer(tx, account(n), account(n+1+n%(accounts-1)))
		return failure
	})
	if failure != nil && o != unclear {
		w.findings.add("transfer: %v, and the outcome is %d", failure, o)
	}
}

// counterKey is a number that increments add up in.
const counterKey = "counter"

func (w *worker) increment() {
	o := w.update(func(tx *etcd.Tx) error { return addTo(tx, counterKey, 1) })
	switch o {
	case acknowledged:
		w.increments.Add(1)
	case unknown:
		w.maybeIncrements.Add(1)
	}
}

// counterError returns an error if the counter does not hold what was acknowledged, or more than
// that and what is unknown.
func counterError(g getter, increments, maybe int64) error {
	text, _ := g.Get(counterKey)
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n < increments || n > increments+maybe) {
		err = fmt.Errorf("the counter is %d, after %d increments and %d unknown ones", n, increments, maybe)
	}
	return err
}

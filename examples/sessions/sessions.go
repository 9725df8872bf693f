package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/windevkay/forge/genie"
)

// A session records a login of a user.
type session struct {
	User    string    `json:"user"`
	Expires time.Time `json:"expires"`
}

// sessions keeps each session as an entry of a store: the key is a hash of the
// token, the value is the session in JSON.
type sessions struct {
	store    *genie.Store
	lifetime time.Duration // of a session, from its last use
}

// keyOf returns a hash of the token. With the token itself as the key, a reader of
// the backup could use every session.
func keyOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// begin logs user in and returns the session and its token, once a crash cannot undo
// the login. The session of the old token, if any, ends.
func (s sessions) begin(user, old string) (token string, begun session, err error) {
	token = rand.Text()
	begun = s.session(user)
	key, value, oldKey := keyOf(token), begun.encode(), keyOf(old)
	// Both writes are one step: neither count nor a backup sees both sessions or
	// none.
	_ = s.store.Update(func(tx *genie.Tx) error {
		tx.Delete(oldKey)
		tx.Set(key, value)
		return nil
	})
	return token, begun, s.store.Sync()
}

// use returns the session of token, if the session has not expired. A session
// gets a new lifetime after half of the old lifetime, so most uses write nothing.
func (s sessions) use(token string) (session, bool) {
	key := keyOf(token)
	value, _ := s.store.Get(key)
	found := decode(value)
	switch left := time.Until(found.Expires); {
	case left <= 0:
		return session{}, false
	case left > s.lifetime/2:
		return found, true
	default:
		return s.renew(key, found.User)
	}
}

// renew does not wait for the disk: a renewal that a crash undoes costs the user a
// little of the lifetime.
func (s sessions) renew(key, user string) (renewed session, ok bool) {
	renewed = s.session(user)
	value := renewed.encode()
	// A logout may have come after the Get in use. A plain Set would undo the
	// logout.
	_ = s.store.Update(func(tx *genie.Tx) error {
		if _, ok = tx.Get(key); ok {
			tx.Set(key, value)
		}
		return nil
	})
	return renewed, ok
}

// end removes the session of token, and returns once a crash cannot undo that.
func (s sessions) end(token string) error {
	s.store.Delete(keyOf(token))
	return s.store.Sync()
}

// count returns the number of sessions in constant time. An expired session counts
// until the next sweep.
func (s sessions) count() int { return s.store.Len() }

// sweep removes the expired sessions and returns their number. All iterates over
// a view, so requests do not wait for a sweep.
func (s sessions) sweep() (removed int) {
	for key, value := range s.store.All() {
		if decode(value).expired() && s.removeExpired(key) {
			removed++
		}
	}
	return removed
}

// removeExpired checks the session again, since a request may have renewed the
// session after the sweep took its view. Each removal is an Update of its own,
// because requests wait while an Update runs, and a whole sweep would take long.
func (s sessions) removeExpired(key string) (removed bool) {
	_ = s.store.Update(func(tx *genie.Tx) error {
		value, ok := tx.Get(key)
		if removed = ok && decode(value).expired(); removed {
			tx.Delete(key)
		}
		return nil
	})
	return removed
}

func (s sessions) session(user string) session {
	return session{User: user, Expires: time.Now().Add(s.lifetime).UTC()}
}

func (s session) expired() bool { return time.Until(s.Expires) <= 0 }

func (s session) encode() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // only possible after the year 9999
	}
	return string(b)
}

// decode returns an expired session for a value that is not a session, such as ""
// or a mistake made by hand in the backup.
func decode(value string) session {
	var s session
	if json.Unmarshal([]byte(value), &s) != nil {
		return session{}
	}
	return s
}

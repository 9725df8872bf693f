package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/windevkay/forge/genie"
)

// A session is a login of a user.
type session struct {
	User    string    `json:"user"`
	Expires time.Time `json:"expires"`
}

// sessions keeps each session as an entry of a store: the key is a hash of the
// token, the value is the user, and the deadline of the entry is the end of the
// session. The store removes what has ended, also over restarts.
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
	key, oldKey := keyOf(token), keyOf(old)
	// Both writes are one step: neither count nor a backup sees both sessions or
	// none.
	_ = s.store.Update(func(tx *genie.Tx) error {
		tx.Delete(oldKey)
		begun = s.extend(tx, key, user)
		return nil
	})
	return token, begun, s.store.Sync()
}

// use returns the session of token, if the session has not ended. A session
// gets a new lifetime after half of the old lifetime, so most uses write nothing.
//
// Two reads are two instants. A session that ends between the reads is not found by
// the second. An entry without a deadline is not a session.
func (s sessions) use(token string) (session, bool) {
	key := keyOf(token)
	expires, ends := s.store.ExpiresAt(key)
	user, found := s.store.Get(key)
	switch {
	case !ends || !found:
		return session{}, false
	case time.Until(expires) > s.lifetime/2:
		return session{user, expires.UTC()}, true
	default:
		return s.renew(key)
	}
}

// renew does not wait for the disk: a renewal that a crash undoes costs the user a
// little of the lifetime.
func (s sessions) renew(key string) (renewed session, ok bool) {
	// A logout may have come after the reads in use. A plain SetWithTTL would undo
	// the logout.
	_ = s.store.Update(func(tx *genie.Tx) error {
		var user string
		if user, ok = tx.Get(key); ok {
			renewed = s.extend(tx, key, user)
		}
		return nil
	})
	return renewed, ok
}

// extend gives the session at key a whole lifetime from now.
func (s sessions) extend(tx *genie.Tx, key, user string) session {
	tx.SetWithTTL(key, user, s.lifetime)
	expires, _ := tx.ExpiresAt(key)
	return session{user, expires.UTC()}
}

// end removes the session of token, and returns once a crash cannot undo that.
func (s sessions) end(token string) error {
	s.store.Delete(keyOf(token))
	return s.store.Sync()
}

// count returns the number of sessions that have not ended.
func (s sessions) count() int { return s.store.Len() }

package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/windevkay/forge/genie"
)

// A session is what is known of somebody who is logged in.
type session struct {
	User    string    `json:"user"`
	Expires time.Time `json:"expires"`
}

// sessions keeps each session as one entry of a store: the key stands for the
// token, the value is the session as JSON.
type sessions struct {
	store    *genie.Store
	lifetime time.Duration // of a session that is not used
}

// keyOf returns a hash of the token and not the token itself: who gets to read
// the backup is not logged in by it.
func keyOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// begin logs user in and returns the token that proves it. It ends the session
// of the old token, if there is one.
func (s sessions) begin(user, old string) (token string, begun session) {
	token = rand.Text()
	begun = s.session(user)
	key, value, oldKey := keyOf(token), begun.encode(), keyOf(old)
	// One step: nobody counts both sessions, and no backup has neither.
	_ = s.store.Update(func(tx *genie.Tx) error {
		tx.Delete(oldKey)
		tx.Set(key, value)
		return nil
	})
	return token, begun
}

// use returns the session of token, if it lives. It gives a session a new lifetime
// when half of the old one has passed, so that most uses write nothing.
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

func (s sessions) renew(key, user string) (renewed session, ok bool) {
	renewed = s.session(user)
	value := renewed.encode()
	// A logout may have come after the Get in use. With a Set alone here, its
	// session would rise from the dead.
	_ = s.store.Update(func(tx *genie.Tx) error {
		if _, ok = tx.Get(key); ok {
			tx.Set(key, value)
		}
		return nil
	})
	return renewed, ok
}

// end logs out.
func (s sessions) end(token string) { s.store.Delete(keyOf(token)) }

// count takes the same time for any number. Sessions that have expired count
// until they are swept.
func (s sessions) count() int { return s.store.Len() }

// sweep removes the sessions that have expired, and returns how many. All looks
// through one view, which holds up nobody, however long it takes.
func (s sessions) sweep() (removed int) {
	for key, value := range s.store.All() {
		if decode(value).expired() && s.removeExpired(key) {
			removed++
		}
	}
	return removed
}

// removeExpired looks again, since the session may have been renewed after the
// view was taken. There is an Update for each, and not one for all of a sweep:
// others wait for it.
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
		panic(err) // only for a year of five digits
	}
	return string(b)
}

// decode takes what is no session, such as "" or a slip of somebody's editor in
// the backup, for one that has expired.
func decode(value string) session {
	var s session
	if json.Unmarshal([]byte(value), &s) != nil {
		return session{}
	}
	return s
}

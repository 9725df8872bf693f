package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"
)

// temporaryPrefix begins the access key of the temporary credential, as S3 has it.
// The rest is the access key of the root account, and the secret is the same.
const temporaryPrefix = "ASIA"

// accounts knows the root account and one temporary credential. Its session token is
// the time when it expires (RFC 3339). The real tokens hold that too, sealed by the
// service that gave them out; a test that gives them out itself needs no seal.
//
// versitygw mints such credentials only with a second server for accounts. It asks
// this type instead, because the type has the method DeriveSigningKey.
type accounts struct {
	auth.IAMService
	root      auth.Account
	temporary auth.Account
}

var _ auth.SigningKeyProvider = accounts{}

func newAccounts(root auth.Account) accounts {
	temporary := root
	temporary.Access = temporaryPrefix + root.Access
	return accounts{IAMService: auth.NewIAMServiceSingle(root), root: root, temporary: temporary}
}

// errExpired has the status that the list of S3's error codes gives, which is not 403.
var errExpired = s3err.APIError{
	Code:           "ExpiredToken",
	Description:    "The provided token has expired.",
	HTTPStatusCode: http.StatusBadRequest,
}

// DeriveSigningKey returns the key that a request must be signed with. versitygw calls
// it for each request that the root account has not signed.
func (a accounts) DeriveSigningKey(access, token, date, region, service string) ([]byte, auth.Account, error) {
	if access != a.temporary.Access {
		return nil, auth.Account{}, auth.ErrNoSuchUser
	}
	expires, err := time.Parse(time.RFC3339, token)
	if err != nil {
		return nil, auth.Account{}, auth.ErrInvalidSessionToken
	}
	if time.Now().After(expires) {
		return nil, auth.Account{}, errExpired
	}
	session := a.temporary
	session.SessionToken, session.IsSession = token, true
	return signingKey(session.Secret, date, region, service), session, nil
}

// signingKey chains the parts of the scope, as SigV4 prescribes.
func signingKey(secret string, scope ...string) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range append(scope, "aws4_request") {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return key
}

package blob

import (
	"errors"
	"io/fs"
	"net/http"

	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"
)

// A deniedError is an error of a bucket that refuses access. It is io/fs.ErrPermission.
type deniedError struct{ err error }

func (e *deniedError) Error() string        { return "access denied: " + e.err.Error() }
func (e *deniedError) Unwrap() error        { return e.err }
func (e *deniedError) Is(target error) bool { return target == fs.ErrPermission }

// named makes an error of a bucket io/fs.ErrPermission if it says that access is refused.
func named(err error) error {
	if isDenied(err) && !errors.Is(err, fs.ErrPermission) {
		return &deniedError{err}
	}
	return err
}

// isDenied reports whether err says that the bucket refuses access. The drivers know a part of
// these errors only: the one of S3 not an expired token, and the one of Google Cloud Storage
// takes each refusal for a missing object.
func isDenied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || gcerrors.Code(err) == gcerrors.PermissionDenied ||
		hasDeniedCode(err) || hasDeniedStatus(err)
}

// hasDeniedCode looks at the codes that S3 gives.
func hasDeniedCode(err error) bool {
	var coded interface{ ErrorCode() string } // smithy.APIError
	if !errors.As(err, &coded) {
		return false
	}
	switch coded.ErrorCode() {
	case "AccessDenied", "Forbidden", "AllAccessDisabled", "AccountProblem",
		"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired",
		"InvalidAccessKeyId", "SignatureDoesNotMatch", "NotSignedUp", "UnrecognizedClientException":
		return true
	}
	return false
}

// hasDeniedStatus looks at the status of the answer.
func hasDeniedStatus(err error) bool {
	if failed, ok := errors.AsType[*googleapi.Error](err); ok {
		return failed.Code == http.StatusForbidden || failed.Code == http.StatusUnauthorized
	}
	return false
}

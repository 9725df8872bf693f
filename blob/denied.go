package blob

import (
	"encoding/json"
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

// isDenied reports whether err says that the bucket refuses access. The drivers know some of
// these errors only. That of S3 does not know an expired token, that of Google Cloud Storage takes
// each refusal for a missing object, and that of Azure does not know a missing right.
func isDenied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || gcerrors.Code(err) == gcerrors.PermissionDenied ||
		deniedCodes[codeOf(err)] || isDeniedStatus(statusOf(err)) && codeOf(err) != archived
}

// deniedCodes are codes of S3 and of services like it, some of which have a status that
// does not tell.
var deniedCodes = map[string]bool{
	"AccessDenied": true, "ExpiredToken": true, "ExpiredTokenException": true,
	"InvalidAccessKeyId": true, "InvalidToken": true, "SignatureDoesNotMatch": true,
	"TokenRefreshRequired": true,
}

// archived is the code of S3 for an object that must be brought back from an archive first. Its
// status is that of a refusal, and the object is whole.
const archived = "InvalidObjectState"

// codeOf returns the code of an error of S3, which is a smithy.APIError. Neither it nor the type
// of Azure is named here, so that a program links only the services that it uses.
func codeOf(err error) string {
	if coded, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err); ok {
		return coded.ErrorCode()
	}
	return ""
}

func isDeniedStatus(status int) bool {
	return status == http.StatusForbidden || status == http.StatusUnauthorized
}

// statusOf returns the HTTP status of an error of a service, or 0.
func statusOf(err error) int {
	if failed, ok := errors.AsType[*googleapi.Error](err); ok {
		return failed.Code
	}
	if failed, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int // of S3
	}](err); ok {
		return failed.HTTPStatusCode()
	}
	if failed, ok := errors.AsType[interface {
		error
		json.Marshaler // azcore.ResponseError, whose fields cannot be named
	}](err); ok {
		var fields struct{ StatusCode int }
		if text, err := failed.MarshalJSON(); err == nil && json.Unmarshal(text, &fields) == nil {
			return fields.StatusCode
		}
	}
	return 0
}

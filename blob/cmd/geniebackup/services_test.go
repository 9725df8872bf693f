package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A service is an HTTP server that gives the answers of a cloud service to each request.
type service struct {
	status int
	kind   string // of the body
	body   string
}

func xmlError(status int, code string) service {
	return service{status, "application/xml", fmt.Sprintf("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>says the service</Message></Error>", code)}
}

func jsonError(status int) service {
	return service{status, "application/json", fmt.Sprintf(`{"error":{"code":%d,"message":"says the service"}}`, status)}
}

// address starts a server and returns its address, a host and a port. The driver of Azure keeps
// the first that it was given, so all tests of a run have one server, with the answers of theirs.
func (s service) address(t *testing.T) string {
	t.Helper()
	answers.Store(&s)
	return strings.TrimPrefix(server().URL, "http://")
}

var answers atomic.Pointer[service]

var server = sync.OnceValue(func() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := answers.Load()
		w.Header().Set("Content-Type", s.kind)
		w.WriteHeader(s.status)
		if r.Method != http.MethodHead {
			fmt.Fprint(w, s.body)
		}
	}))
})

// Where each service is found. The credentials are none of a real account.
func s3At(t *testing.T, address string) string {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	return "s3://bucket?region=us-east-1&use_path_style=true&endpoint=http://" + address
}

func gsAt(t *testing.T, address string) string {
	t.Setenv("STORAGE_EMULATOR_HOST", address)
	return "gs://bucket?anonymous=true"
}

func azureAt(t *testing.T, address string) string {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "test")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sig=test")
	t.Setenv("AZURE_STORAGE_PROTOCOL", "http")
	t.Setenv("AZURE_STORAGE_IS_LOCAL_EMULATOR", "true")
	t.Setenv("AZURE_STORAGE_DOMAIN", address)
	return "azblob://bucket"
}

// Each refusal of each service gives the exit code of a refusal, and nothing else does.
func TestAnswersOfServices(t *testing.T) {
	const emptyS3 = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`
	const emptyAzure = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="bucket"><Blobs></Blobs><NextMarker /></EnumerationResults>`
	tests := map[string]struct {
		at      func(*testing.T, string) string
		service service
		code    int
	}{
		"S3, a missing right":        {s3At, xmlError(403, "AccessDenied"), exitDenied},
		"S3, an expired token":       {s3At, xmlError(400, "ExpiredToken"), exitDenied},
		"S3, a wrong key":            {s3At, xmlError(403, "InvalidAccessKeyId"), exitDenied},
		"S3, a wrong secret":         {s3At, xmlError(403, "SignatureDoesNotMatch"), exitDenied},
		"S3, a refusal without text": {s3At, service{403, "text/plain", ""}, exitDenied},
		"S3, no bucket":              {s3At, xmlError(404, "NoSuchBucket"), exitFailed},
		"S3, another error":          {s3At, xmlError(501, "NotImplemented"), exitFailed},
		"S3, an archive":             {s3At, xmlError(403, "InvalidObjectState"), exitFailed},
		"S3, no copy":                {s3At, service{200, "application/xml", emptyS3}, exitNoCopy},
		"Google, a missing right":    {gsAt, jsonError(403), exitDenied},
		"Google, an expired token":   {gsAt, jsonError(401), exitDenied},
		"Google, no bucket":          {gsAt, jsonError(404), exitFailed},
		"Google, no copy":            {gsAt, service{200, "application/json", `{"kind":"storage#objects"}`}, exitNoCopy},
		"Azure, a missing right":     {azureAt, xmlError(403, "AuthorizationPermissionMismatch"), exitDenied},
		"Azure, an expired token":    {azureAt, xmlError(403, "AuthenticationFailed"), exitDenied},
		"Azure, no container":        {azureAt, xmlError(404, "ContainerNotFound"), exitFailed},
		"Azure, no copy":             {azureAt, service{200, "application/xml", emptyAzure}, exitNoCopy},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := fileWith(t, `{"a":"1"}`)
			where := tt.at(t, tt.service.address(t))
			for _, args := range [][]string{{"list", where}, {"verify", where}, {"restore", "-replace", where, file}} {
				got := geniebackup(t, args...)
				require.Equal(t, tt.code, got.code, "%s: %s", args[0], got.messages)
				require.Empty(t, got.output)
			}
			require.Equal(t, `{"a":"1"}`, contentsOf(t, file), "nothing is touched")
			if tt.code != exitNoCopy {
				require.Equal(t, tt.code, geniebackup(t, "copy", file, where).code)
			}
		})
	}
}

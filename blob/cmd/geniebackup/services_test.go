package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
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

// emptyS3 is the answer of S3 to a listing without objects.
const emptyS3 = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`

// Each refusal of each service gives the exit code of a refusal, and nothing else does.
func TestAnswersOfServices(t *testing.T) {
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

// Where no credentials are found, the exit code is that of a refusal. The processes are new ones, as
// the drivers keep the credentials of a process, and have an environment without any: no file, and no
// service on the machine that gives them out.
func TestNoCredentials(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, where := range []string{"s3://bucket?region=us-east-1", "gs://bucket", "azblob://bucket"} {
		for _, args := range [][]string{{"list", where}, {"verify", where}, {"restore", where, none}, {"copy", fileWith(t, `{"a":"1"}`), where}} {
			child := asMain(t, args...)
			child.Env = []string{
				"GENIE_TEST_MAIN=1", "HOME=" + none,
				"AWS_EC2_METADATA_DISABLED=true",
				"GOOGLE_APPLICATION_CREDENTIALS=" + none,
				"AZURE_STORAGE_ACCOUNT=test", "AZURE_TOKEN_CREDENTIALS=EnvironmentCredential",
			}
			var output, messages bytes.Buffer
			child.Stdout, child.Stderr = &output, &messages
			_ = child.Run() // its exit code says it
			require.Equal(t, exitDenied, child.ProcessState.ExitCode(), "%v: %s", args, messages.String())
			require.Regexp(t, `^geniebackup: no credentials were found for (s3|gs|azblob)://bucket`, messages.String())
			require.Empty(t, output.String())
		}
	}
	require.NoFileExists(t, none)
}

// A client that is to have no credentials needs none.
func TestAnonymous(t *testing.T) {
	where := s3At(t, service{200, "application/xml", emptyS3}.address(t))
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	require.Equal(t, exitDenied, geniebackup(t, "list", where).code)
	require.Equal(t, exitNoCopy, geniebackup(t, "list", where+"&anonymous=true").code)

	t.Setenv("STORAGE_EMULATOR_HOST", "")
	for query, want := range map[string]bool{"": true, "anonymous=false": true, "anonymous=true": false, "access_id=-": false, "access_id=a": true} {
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		require.Equal(t, want, wantsGoogle(values), query)
	}
	t.Setenv("STORAGE_EMULATOR_HOST", "localhost:1")
	require.False(t, wantsGoogle(nil))
}

package s3test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	cloud "gocloud.dev/blob"

	"github.com/windevkay/forge/genie/blob/blobtest"
)

func TestServerConforms(t *testing.T) {
	s := newStage(t)
	blobtest.Run(t, func(t *testing.T) *cloud.Bucket { return Open(t, s.direct, bucketName) })
}

// With the rights of the policy in README, and no more.
func TestServerConformsUnderThePolicy(t *testing.T) {
	s := newStage(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := NewClient(t, s.server.Address(), Always(Root()), func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: policy{transport}}
	})
	blobtest.Run(t, func(t *testing.T) *cloud.Bucket {
		return cloud.PrefixedBucket(Open(t, client, bucketName), "app/")
	})
	bucket := s.open(t, client)
	_, err := bucket.Exists(t.Context(), "app/none")
	require.Equal(t, "Forbidden", codeOf(err))
	require.Equal(t, "AccessDenied", codeOf(bucket.WriteAll(t.Context(), "other", nil, nil)))
}

// A policy answers as S3 does under the policy of README: what is not under "app/" is refused, and so is
// an object that is missing.
type policy struct{ to http.RoundTripper }

func (p policy) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	lists := query.Has("list-type") && strings.HasPrefix(query.Get("prefix"), "app/")
	if !lists && !strings.HasPrefix(r.URL.Path, "/"+bucketName+"/app/") {
		return refusal(r)
	}
	answer, err := p.to.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusNotFound {
		return answer, err
	}
	_ = answer.Body.Close()
	return refusal(r)
}

// refusal returns the answer to a request that is refused.
func refusal(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body) // it may have been sent
		_ = r.Body.Close()
	}
	text := "<Error><Code>AccessDenied</Code></Error>"
	if r.Method == http.MethodHead {
		text = ""
	}
	return &http.Response{
		StatusCode: http.StatusForbidden, Status: "403 Forbidden", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/xml"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
	}, nil
}

package s3test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// The root account of each server.
const (
	access = "GENIETEST"
	secret = "not-a-secret"
)

// Root is the credential that a server takes for good.
func Root() aws.Credentials {
	return aws.Credentials{AccessKeyID: access, SecretAccessKey: secret}
}

// Temporary is a credential that a server takes until it expires, with the precision of a
// second.
func Temporary(expires time.Time) aws.Credentials {
	return aws.Credentials{
		AccessKeyID:     "ASIA" + access,
		SecretAccessKey: secret,
		SessionToken:    expires.UTC().Format(time.RFC3339),
	}
}

// Always returns a provider of one credential.
func Always(c aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
}

// NewClient returns a client of the server, or of the proxy, at address. Unless an option says
// otherwise, it tries each request once, so that a fault that a test has armed is the one that
// the caller sees. Its connections are closed when the test ends.
func NewClient(tb testing.TB, address string, as aws.CredentialsProvider, opts ...func(*s3.Options)) *s3.Client {
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + address),
		UsePathStyle: true, // the name of the bucket is no name of a host here
		Region:       "us-east-1",
		Credentials:  as,
		HTTPClient:   &http.Client{Transport: transport},
		Retryer:      aws.NopRetryer{},

		// As config.LoadDefaultConfig has it.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,

		// The tests flip bytes in such objects, and the warnings would drown their output.
		DisableLogOutputChecksumValidationSkipped: true,
	}, opts...)
}

// NewBucket makes an empty bucket.
func NewBucket(tb testing.TB, client *s3.Client, name string) {
	tb.Helper()
	_, err := client.CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: &name})
	require.NoError(tb, err)
}

// Open opens a bucket, which the caller closes.
func Open(tb testing.TB, client *s3.Client, name string) *blob.Bucket {
	tb.Helper()
	bucket, err := s3blob.OpenBucket(context.Background(), client, name, nil)
	require.NoError(tb, err)
	return bucket
}

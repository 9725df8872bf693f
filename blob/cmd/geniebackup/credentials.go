package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	cloud "gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
)

// errNoCredentials is given if there are none, or if the service that gives them out does not answer.
// The drivers give errors for it that look like any failure of a request.
var errNoCredentials = errors.New("no credentials were found")

// checkGoogle looks for the credentials of a bucket of Google Cloud Storage. It comes before the
// driver, which prints a warning to standard output and goes on with credentials that are none.
func checkGoogle(ctx context.Context, u *url.URL) error {
	if u.Scheme != gcsblob.Scheme || !wantsGoogle(u.Query()) {
		return nil
	}
	_, err := gcp.DefaultCredentials(ctx)
	return noCredentials(ctx, u, err)
}

// wantsGoogle reports whether the driver looks for credentials.
func wantsGoogle(query url.Values) bool {
	anonymous, _ := strconv.ParseBool(query.Get("anonymous")) // a wrong one is an error of the driver
	emulated := os.Getenv("STORAGE_EMULATOR_HOST") != "" || os.Getenv("STORAGE_EMULATOR_HOST_GRPC") != ""
	return !anonymous && !emulated && query.Get("access_id") != "-"
}

// checkS3 asks the client of a bucket for its credentials, which keeps them for its requests.
func checkS3(ctx context.Context, u *url.URL, bucket *cloud.Bucket) error {
	var client *s3.Client
	if !bucket.As(&client) {
		return nil
	}
	credentials := client.Options().Credentials
	if credentials == nil {
		return nil // an anonymous client
	}
	_, err := credentials.Retrieve(ctx)
	return noCredentials(ctx, u, err)
}

// withoutAzure returns the error of a request, which says that there are no credentials if that
// made it fail: the client of Azure looks for them at its first request, and an error of its
// credentials is one that it does not retry.
func withoutAzure(ctx context.Context, where string, err error) error {
	u, parsed := url.Parse(where)
	if parsed != nil || u.Scheme != azureblob.Scheme {
		return err
	}
	if _, of := errors.AsType[interface {
		error
		NonRetriable()
	}](err); !of {
		return err
	}
	return noCredentials(ctx, u, err)
}

// noCredentials makes an error one that is errNoCredentials, unless ctx has ended.
func noCredentials(ctx context.Context, u *url.URL, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w for %s: %w", errNoCredentials, u.Redacted(), err)
}

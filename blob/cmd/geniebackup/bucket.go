package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	cloud "gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob" // gs://
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"

	"github.com/windevkay/forge/genie/blob"
)

// folderOptions write a file in one step within the file system, and no second file beside it.
var folderOptions = fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite}

// openBucket opens a folder or a URL.
func openBucket(ctx context.Context, where string) (*cloud.Bucket, error) {
	if !strings.Contains(where, "://") {
		return openFolder(where)
	}
	u, err := url.Parse(where)
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	if u.Scheme == fileblob.Scheme {
		bucket, err := (&fileblob.URLOpener{Options: folderOptions}).OpenBucketURL(ctx, resolved(u))
		return bucket, opened(u, err)
	}
	return openService(ctx, u)
}

// openService opens a bucket of a service, if there are credentials for it.
func openService(ctx context.Context, u *url.URL) (*cloud.Bucket, error) {
	if err := checkGoogle(ctx, u); err != nil {
		return nil, err
	}
	bucket, err := cloud.OpenBucket(ctx, unchecked(u).String())
	if err != nil {
		return nil, opened(u, err)
	}
	if err := checkS3(ctx, u, bucket); err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	return bucket, nil
}

// unchecked returns the URL of a bucket of S3 whose client does not check what it reads, unless u says that
// it must. Package blob does, and the client prints a warning where it cannot, as for each object of
// several parts.
func unchecked(u *url.URL) *url.URL {
	const parameter = "response_checksum_validation"
	query := u.Query()
	if u.Scheme != s3blob.Scheme || query.Has(parameter) {
		return u
	}
	query.Set(parameter, "when_required")
	to := *u
	to.RawQuery = query.Encode()
	return &to
}

// opened returns the error of a driver with the bucket that could not be opened.
func opened(u *url.URL, err error) error {
	if err != nil {
		err = fmt.Errorf("open bucket %s: %w", u.Redacted(), err)
	}
	return err
}

// openFolder opens a folder. It reads the folder first: the driver takes a folder that it may not
// read for an empty one. A missing folder is not made, as it may be a disk that is not mounted.
func openFolder(path string) (*cloud.Bucket, error) {
	if _, err := os.ReadDir(path); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	target, err := filepath.EvalSymlinks(path) // the driver lists nothing behind a link
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	bucket, err := fileblob.OpenBucket(target, &folderOptions)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", path, err)
	}
	return bucket, nil
}

// resolved returns the URL of a folder with the folder to which a link leads, or u if there is none. An
// absolute path stays one, and so does one that begins at the working directory, whose host is ".".
func resolved(u *url.URL) *url.URL {
	path := u.Path
	if u.Host == "." || filepath.Separator != '/' {
		path = strings.TrimPrefix(path, "/")
	}
	target, err := filepath.EvalSymlinks(filepath.FromSlash(path))
	if err != nil {
		return u
	}
	to := *u
	if to.Path = filepath.ToSlash(target); filepath.IsAbs(target) {
		to.Host = ""
	}
	return &to
}

// check returns an error if blob.New will not take the flags.
func (c *command) check() error {
	bucket := memblob.OpenBucket(nil)
	_, err := blob.New(bucket, c.prefix, c.keepRule())
	if err = errors.Join(err, bucket.Close()); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}

// withCopies calls fn with the copies in the bucket.
func (c *command) withCopies(ctx context.Context, where string, fn func(*blob.Copies) error, opts ...blob.Option) (err error) {
	bucket, err := openBucket(ctx, where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bucket.Close()) }()
	defer c.progress.end()
	copies, err := blob.New(bucket, c.prefix, append(opts, blob.WithProgress(c.progress.show))...)
	if err != nil {
		return err
	}
	return withoutAzure(ctx, where, fn(copies))
}

// chosen returns the copies that -copy names, or all.
func (c *command) chosen(ctx context.Context, copies *blob.Copies) ([]blob.Copy, error) {
	all, err := copies.List(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w under %v", blob.ErrNoCopy, copies)
	}
	switch c.copy {
	case "":
		return all, nil
	case "newest":
		return all[len(all)-1:], nil
	}
	for _, copy := range all {
		if copy.Name == c.copy {
			return []blob.Copy{copy}, nil
		}
	}
	return nil, fmt.Errorf("no copy has the name %s; geniebackup list prints the names", c.copy)
}

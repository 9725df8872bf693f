package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	cloud "gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// isFolder reports whether the driver of a bucket is that of a folder, and the folder is there.
func isFolder(bucket *cloud.Bucket) bool {
	var info os.FileInfo
	return bucket.As(&info)
}

// errGone is not io/fs.ErrNotExist: that must mean that there is no copy.
var errGone = errors.New("the folder of the bucket does not exist any more")

// folderPath returns the path of the folder that is the prefix, which may not be there. The driver of
// folders gives the path in one place alone: in the error for an object that is missing.
func (c *Copies) folderPath(ctx context.Context) (string, error) {
	_, err := c.bucket.Attributes(ctx, c.prefix+newName(time.Now()))
	var missing *fs.PathError
	if gcerrors.Code(err) != gcerrors.NotFound || !c.bucket.ErrorAs(err, &missing) {
		return "", fmt.Errorf("find the folder: %w", named(err))
	}
	return filepath.Dir(missing.Path), nil
}

// checkFolder returns an error if the folder of the prefix cannot be read to its end, or that of the
// bucket is gone. The driver lists such a folder without a word: as far as it got, or as an empty
// one. Services say so by themselves.
func (c *Copies) checkFolder(ctx context.Context) error {
	path, err := c.folderPath(ctx)
	if err != nil {
		return err
	}
	if !isFolder(c.bucket) {
		return errGone
	}
	switch err := c.readDir(path); {
	case errors.Is(err, fs.ErrNotExist): // no copy has been made yet
		return nil
	case err != nil:
		return fmt.Errorf("read the folder: %w", named(err))
	}
	return nil
}

// readDir reads the names in a folder, and returns the error that ends it.
func readDir(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	for {
		const some = 1000 // so that memory does not grow with the folder
		switch _, err := folder.Readdirnames(some); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// syncFolders makes the name of a file in the folder of the prefix durable, and the names of the
// folders up to that of the bucket, which the driver may have made for it.
func (c *Copies) syncFolders(ctx context.Context) error {
	path, err := c.folderPath(ctx)
	if err != nil {
		return err
	}
	for {
		if err := c.syncDir(path); err != nil && !isUnable(err) {
			return fmt.Errorf("sync the folder: %w", named(err))
		}
		above := filepath.Dir(path)
		if above == path || c.isTop(path) {
			return nil
		}
		path = above
	}
}

// isTop reports whether a path is that of the bucket.
func (c *Copies) isTop(path string) bool {
	var top os.FileInfo
	info, err := os.Stat(path)
	return err == nil && c.bucket.As(&top) && os.SameFile(top, info)
}

// isUnable reports whether an error says that a file system cannot sync folders. The order in which
// names reach the disk is its own then.
func isUnable(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

// syncDir syncs a folder. Windows has no such call.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

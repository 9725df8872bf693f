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
	"strings"
	"syscall"
	"time"

	cloud "gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// isFolder reports whether the driver of a bucket is that of a folder, which may be missing now and be
// there later, as a disk that is mounted late. Of a folder that is missing the driver says nothing. So
// the sign is which errors it takes for its own: those of files, unless another error holds them.
func isFolder(bucket *cloud.Bucket) bool {
	var found *fs.PathError
	own := &fs.PathError{}
	return isThere(bucket) || bucket.ErrorAs(own, &found) && !bucket.ErrorAs(fmt.Errorf("%w", own), &found)
}

// isThere reports whether the folder of a bucket is there.
func isThere(bucket *cloud.Bucket) bool {
	var info os.FileInfo
	return bucket.As(&info)
}

// errGone is not io/fs.ErrNotExist: that must mean that there is no copy.
var errGone = errors.New("the folder of the bucket does not exist")

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

// checkFolder returns an error if the driver does not list all that is in the folder of the prefix, and
// says nothing: because the folder cannot be read to its end, or that of the bucket is gone, or the
// driver looks into another folder. Services say so by themselves.
func (c *Copies) checkFolder(ctx context.Context) error {
	path, err := c.folderPath(ctx)
	if err != nil {
		return err
	}
	if !isThere(c.bucket) {
		return errGone
	}
	if !strings.HasSuffix(path, filepath.FromSlash(strings.TrimSuffix(c.prefix, "/"))) {
		return fmt.Errorf("the driver of folders writes %v to the folder %s, and lists another: %w", c, path, fs.ErrInvalid)
	}
	// Where the folder is missing, no copy has been made yet.
	if err := c.readDir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the folder: %w", named(err))
	}
	return checkLinks(path)
}

// checkLinks returns an error if a folder is a symbolic link, as the driver writes and reads behind it and
// does not list that. A folder that is missing must not be one behind a link to nothing, such as a
// disk that is not mounted.
func checkLinks(path string) error {
	if info, err := os.Lstat(path); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is a symbolic link, behind which the driver lists nothing; use the folder to which it leads", path)
	}
	for ; path != filepath.Dir(path); path = filepath.Dir(path) {
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("follow a symbolic link: %w", named(err))
		}
		break
	}
	return nil
}

// errUnlisted is given for a copy that could be written and is not listed, so that no restore would find it.
var errUnlisted = errors.New("the bucket does not list the copy that it has stored")

// checkListed returns an error if a copy that was sealed in a folder is not listed, as behind a link that
// was made meanwhile, and takes the copy back then. The listing of a service needs no such look.
func (c *Copies) checkListed(ctx context.Context, made Copy) error {
	if !c.folder {
		return nil
	}
	err := c.find(ctx, made)
	if err == nil {
		return nil
	}
	unlisted := errors.Is(err, errUnlisted)
	return c.takeBack(ctx, unlisted, fmt.Errorf("list %s: %w", made.Name, err), sealOf(made), made.Name)
}

// find returns errUnlisted if a copy is there and is not listed. Another writer may have removed it since.
func (c *Copies) find(ctx context.Context, made Copy) error {
	l, err := c.listFrom(ctx, made.Name)
	if err != nil || len(l.copies) == 1 && l.copies[0].whole {
		return err
	}
	sealed, err := c.bucket.Exists(ctx, sealOf(made))
	if err == nil && sealed {
		return errUnlisted
	}
	return named(err)
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

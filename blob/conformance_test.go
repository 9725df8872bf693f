package blob_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	cloud "gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/windevkay/forge/genie/blob/blobtest"
)

// TestMain makes the test binary a program that makes copies, if the environment asks for one.
func TestMain(m *testing.M) {
	if path := os.Getenv("GENIE_TEST_COPY_TO"); path != "" {
		copyForEver(path)
	}
	goleak.VerifyTestMain(m)
}

func TestMemoryConforms(t *testing.T) {
	blobtest.Run(t, func(*testing.T) *cloud.Bucket { return memblob.OpenBucket(nil) })
}

func TestFolderConforms(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) *cloud.Bucket { return folder(t, t.TempDir()) })
}

// With a sidecar for each object, too, although the documentation advises against it.
func TestFolderWithSidecarsConforms(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) *cloud.Bucket {
		bucket, err := fileblob.OpenBucket(t.TempDir(), nil)
		require.NoError(t, err)
		return bucket
	})
}

// folder returns a folder as a bucket.
func folder(t testing.TB, path string) *cloud.Bucket {
	t.Helper()
	bucket, err := fileblob.OpenBucket(path, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	require.NoError(t, err)
	return bucket
}

package s3test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/blob"
)

// uploads returns the multipart uploads that are open under the prefix of the scene.
func (c *scene) uploads(t *testing.T) []types.MultipartUpload {
	t.Helper()
	answer, err := c.direct.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{
		Bucket: aws.String(bucketName), Prefix: aws.String(c.prefix + "/"),
	})
	require.NoError(t, err)
	return answer.Uploads
}

// storedParts returns the bytes of the parts of an upload.
func (c *scene) storedParts(t *testing.T, u types.MultipartUpload) (bytes int64) {
	t.Helper()
	answer, err := c.direct.ListParts(t.Context(), &s3.ListPartsInput{
		Bucket: aws.String(bucketName), Key: u.Key, UploadId: u.UploadId,
	})
	require.NoError(t, err)
	for _, part := range answer.Parts {
		bytes += *part.Size
	}
	return bytes
}

// objects returns the keys of all objects of the scene.
func (c *scene) objects(t *testing.T) (keys []string) {
	t.Helper()
	answer, err := c.direct.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{
		Bucket: aws.String(bucketName), Prefix: aws.String(c.prefix + "/"),
	})
	require.NoError(t, err)
	for _, object := range answer.Contents {
		keys = append(keys, *object.Key)
	}
	return keys
}

// A copy that is cut while its parts are sent publishes nothing. The parts that were sent stay on
// S3. The README has the rule of the bucket that removes them.
func TestCutMultipartCopyLeavesNoObject(t *testing.T) {
	s := newStage(t)

	t.Run("a context that ends leaves the upload open", func(t *testing.T) {
		c := newScene(t, s)
		before := c.objects(t)
		// The third part stalls, so the first is stored, or is being stored.
		struck := s.proxy.Arm(StallRequest, 3, UploadPart)
		err, hit := during(t, StallRequest, struck, func(ctx context.Context) error {
			_, err := c.copies(t, s.client).Copy(ctx, large)
			return err
		})
		require.True(t, hit)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, before, c.objects(t))

		open := c.uploads(t)
		require.Len(t, open, 1, "the client aborts with the context that has ended")
		require.GreaterOrEqual(t, c.storedParts(t, open[0]), int64(8<<20), "which costs storage")
		c.copy(t, newest, blob.WithKeep(1, 0))
		require.Equal(t, open, c.uploads(t), "a later copy does not remove it, as an upload is no object")

		// So does a lifecycle rule with AbortIncompleteMultipartUpload.
		_, err = s.direct.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{
			Bucket: aws.String(bucketName), Key: open[0].Key, UploadId: open[0].UploadId,
		})
		require.NoError(t, err)
		require.Empty(t, c.uploads(t))
	})

	t.Run("a source that fails leaves the upload open", func(t *testing.T) {
		c := newScene(t, s)
		before := c.objects(t)
		_, err := c.copies(t, s.client).Copy(t.Context(), halfSource{})
		require.ErrorIs(t, err, errSource)
		require.Equal(t, before, c.objects(t))
		require.Len(t, c.uploads(t), 1)
	})

	t.Run("an outage leaves the upload open", func(t *testing.T) {
		c := newScene(t, s)
		before := c.objects(t)
		s.proxy.ArmFrom(ResetRequest, 2, UploadPart, AbortMultipartUpload)
		_, err := c.copies(t, s.client).Copy(t.Context(), large)
		require.Error(t, err)
		require.Equal(t, before, c.objects(t))
		require.Len(t, c.uploads(t), 1)
	})

	t.Run("a request that fails leaves nothing", func(t *testing.T) {
		for _, fault := range []Fault{InternalError, ResetRequest, CutRequest} {
			c := newScene(t, s)
			before := c.objects(t)
			s.proxy.Arm(fault, 2, UploadPart)
			_, err := c.copies(t, s.client).Copy(t.Context(), large)
			require.Error(t, err)
			require.Equal(t, before, c.objects(t))
			require.Empty(t, c.uploads(t), fault.Name)
		}
	})
}

// A halfSource fails when it has written three parts.
type halfSource struct{}

var errSource = errors.New("the source fails")

func (halfSource) WriteTo(w io.Writer) (int64, error) {
	n, err := large.WriteTo(w)
	return n, errors.Join(err, errSource)
}

// From which size on a copy is sent in parts is the client's choice. WithPartSize does not change
// it, so no size of a part keeps an interrupted copy from leaving parts behind.
func TestThresholdOfMultipart(t *testing.T) {
	s := newStage(t)
	for _, part := range []int{5 << 20, 64 << 20} {
		require.NotContains(t, operationsOfACopy(t, s, multipart-(1<<20), part), CreateMultipartUpload, part)
		require.Contains(t, operationsOfACopy(t, s, multipart, part), CreateMultipartUpload, part)
	}
}

// operationsOfACopy makes a copy of about size bytes.
func operationsOfACopy(t *testing.T, s *stage, size, part int) (operations []Operation) {
	t.Helper()
	c := newScene(t, s)
	_, err := c.copies(t, s.client, blob.WithPartSize(part)).Copy(t.Context(), backupOf(size))
	require.NoError(t, err)
	for _, r := range s.proxy.Requests() {
		operations = append(operations, r.Operation)
	}
	return operations
}

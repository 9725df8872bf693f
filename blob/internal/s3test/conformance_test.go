package s3test

import (
	"testing"

	cloud "gocloud.dev/blob"

	"github.com/windevkay/forge/genie/blob/blobtest"
)

func TestServerConforms(t *testing.T) {
	s := newStage(t)
	blobtest.Run(t, func(t *testing.T) *cloud.Bucket { return Open(t, s.direct, bucketName) })
}

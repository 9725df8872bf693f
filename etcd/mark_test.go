package etcd

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMarksAreReadAsTheyWereWritten(t *testing.T) {
	for _, m := range []mark{
		{},
		{Revision: 7, Cluster: 1, Prefix: "app/", Witness: witness{Key: "key", At: 6}, Contact: 8},
		{Revision: math.MaxInt64, Cluster: math.MaxUint64, Prefix: "\x00\xff \"\n", Witness: witness{"\xff\xfe ä", math.MaxInt64, true}, Contact: math.MaxInt64},
	} {
		read, err := parseMark(m.String())
		require.NoError(t, err)
		assert.Equal(t, m, read)
		assert.Equal(t, m.Revision, revisionIn(m.String()))
	}
}

func TestWhatIsNoMark(t *testing.T) {
	for _, text := range []string{"", "x", "genie-etcd-1", "genie-etcd-1 7", `genie-etcd-1 7 1 true 6 "a" "b"`, `genie-etcd-2 7 1 true 6 "a" "b" 8`} {
		_, err := parseMark(text)
		assert.Error(t, err, text)
	}
	assert.Zero(t, revisionIn(""))
}

func FuzzMark(f *testing.F) {
	f.Add(int64(1), uint64(2), "app/", "key", int64(3), true, int64(4))
	f.Fuzz(func(t *testing.T, revision int64, cluster uint64, prefix, key string, at int64, deleted bool, contact int64) {
		m := mark{revision, cluster, prefix, witness{key, at, deleted}, contact}
		read, err := parseMark(m.String())
		require.NoError(t, err)
		require.Equal(t, m, read)
	})
}

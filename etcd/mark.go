package etcd

import (
	"fmt"
	"strconv"
	"strings"
)

// markKey is the key, in the replica, of the replica's own entry. It is the empty key: etcd
// has no key of that name and Set refuses it, so no entry of a user can be in its place.
const markKey = ""

// A mark says where a replica stands. The mark is written in the same Update of the replica as
// the entries. So every view, and the local file, has entries and a mark of one revision.
type mark struct {
	Revision int64  // the replica has all that the cluster did to the prefix up to Revision
	Cluster  uint64 // the ID of the cluster
	Prefix   string
	Witness  witness
	Contact  int64 // when the cluster had last answered, in milliseconds as time.UnixMilli has them; 0 for never
}

// A witness is the last event of the prefix that the replica has applied: Key was set, or
// deleted, at revision At. If the cluster has this event in its history, the cluster's history
// is that of the replica. See judge.
type witness struct {
	Key     string
	At      int64 // 0 for no witness
	Deleted bool
}

// The text of a mark begins with a version, so that a later version of this package can read the
// files of this one. The revision comes next because views read only that. Strings are quoted:
// prefixes and keys may have any bytes.
const (
	markVersion = "genie-etcd-1 "
	markFormat  = markVersion + "%d %x %t %d %q %q %d"
)

func (m mark) String() string {
	text := make([]byte, 0, 128)
	text = append(text, markVersion...)
	text = strconv.AppendInt(text, m.Revision, 10)
	text = append(text, ' ')
	text = strconv.AppendUint(text, m.Cluster, 16)
	text = append(text, ' ')
	text = strconv.AppendBool(text, m.Witness.Deleted)
	text = append(text, ' ')
	text = strconv.AppendInt(text, m.Witness.At, 10)
	text = append(text, ' ')
	text = strconv.AppendQuote(text, m.Prefix)
	text = append(text, ' ')
	text = strconv.AppendQuote(text, m.Witness.Key)
	text = append(text, ' ')
	return string(strconv.AppendInt(text, m.Contact, 10))
}

func parseMark(text string) (m mark, err error) {
	_, err = fmt.Sscanf(text, markFormat,
		&m.Revision, &m.Cluster, &m.Witness.Deleted, &m.Witness.At, &m.Prefix, &m.Witness.Key, &m.Contact)
	return m, err
}

// revisionIn returns the revision in the text of a mark.
func revisionIn(text string) int64 {
	number, _, _ := strings.Cut(strings.TrimPrefix(text, markVersion), " ")
	revision, _ := strconv.ParseInt(number, 10, 64) // Open refuses a mark that cannot be read
	return revision
}

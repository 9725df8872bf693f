package etcd

import (
	"fmt"
)

// markKey is the key, in the replica, of the replica's own entry. It is the empty key because
// etcd refuses it, and [Store.Set] too: no entry of the cluster can have this name here.
const markKey = ""

// A mark says where the replica stands. It changes in the same Update of the replica as the
// entries, so every view, and the local file, has entries and mark of one revision.
type mark struct {
	Cluster  uint64 // the ID of the cluster
	Revision int64  // all that the cluster did to the prefix up to it is in the replica
	Prefix   string

	// The witness is the last event of the prefix that the replica has applied: Key was set, or
	// deleted, at revision At. See (mark).judge.
	Witness witness
}

type witness struct {
	Key     string
	At      int64 // 0 for none
	Deleted bool
}

// The text of a mark is versioned by its first word. Strings are quoted because prefixes and keys
// may have any bytes.
const markFormat = "genie-etcd-1 %x %d %q %q %d %t"

func (m mark) String() string {
	return fmt.Sprintf(markFormat, m.Cluster, m.Revision, m.Prefix, m.Witness.Key, m.Witness.At, m.Witness.Deleted)
}

func parseMark(text string) (m mark, err error) {
	_, err = fmt.Sscanf(text, markFormat, &m.Cluster, &m.Revision, &m.Prefix,
		&m.Witness.Key, &m.Witness.At, &m.Witness.Deleted)
	return m, err
}

// A getter is a genie.View, a genie.Tx or a genie.Store.
type getter interface {
	Get(key string) (string, bool)
}

// markIn returns the mark of entries, or the zero mark of a replica that was never filled.
func markIn(entries getter) mark {
	text, _ := entries.Get(markKey)
	m, _ := parseMark(text) // Open has refused a file whose mark cannot be read
	return m
}

// marks returns how many entries are not to be counted: 1 or 0.
func marks(get func(string) (string, bool)) int {
	if _, ok := get(markKey); ok {
		return 1
	}
	return 0
}

package etcd

import (
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A change is one write to the replica.
type change struct {
	key, value string
	deleted    bool
}

// A batch is what one Update of the replica applies: the events of one revision or of several
// that have arrived together, never a part of those of a revision. The server sends all events of
// a revision in one response.
type batch struct {
	changes  []change // in the order of the cluster
	revision int64    // that the replica stands at afterwards; 0 if it does not move
	witness  witness
	tokens   []sighting
}

// A sighting is the token of an Update at the revision of its transaction.
type sighting struct {
	token    string
	revision int64
}

// fold puts the responses of a watch into one batch. A replica that stands at revision after has
// the events up to it already: they can come again where the client has resumed a watch.
//
// The revision of a batch is that of its last event. The header of a response with events has the
// revision of the whole store, which may be newer than the events that were sent so far. Only a
// progress notification promises that all events up to its header were sent.
func fold(responses []clientv3.WatchResponse, prefix string, after int64) batch {
	b := batch{revision: after}
	for _, response := range responses {
		for _, event := range response.Events {
			if event.Kv.ModRevision > after {
				b.add(event, prefix)
			}
		}
		if response.IsProgressNotify() {
			b.revision = max(b.revision, response.Header.Revision)
		}
	}
	if b.revision == after {
		b.revision = 0
	}
	return b
}

func (b *batch) add(event *clientv3.Event, prefix string) {
	key, at := string(event.Kv.Key[len(prefix):]), event.Kv.ModRevision
	deleted := event.Type == clientv3.EventTypeDelete
	b.revision = max(b.revision, at)
	if key == tokenKey {
		b.tokens = append(b.tokens, sighting{string(event.Kv.Value), at})
		return
	}
	b.changes = append(b.changes, change{key, string(event.Kv.Value), deleted})
	b.witness = witness{key, at, deleted}
}

// size returns about how many bytes a response takes in memory.
func size(response clientv3.WatchResponse) int {
	const ofResponse, ofEvent = 300, 200 // the structs of a response and of an event
	n := ofResponse
	for _, event := range response.Events {
		n += ofEvent + len(event.Kv.Key) + len(event.Kv.Value)
	}
	return n
}

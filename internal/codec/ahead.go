package codec

import "errors"

// A place is a position in the text.
type place struct {
	offset int64 // the number of bytes before the place
	line   int   // from 1
}

// A member of the object, and the place of its name.
type member struct {
	key, value string
	deadline   int64
	at         place
}

// A batch is a number of members in the order of the text.
type batch struct {
	keys, values []string
	deadlines    []int64 // nil while no member has one
	places       []place
}

func newBatch() batch {
	return batch{make([]string, 0, batchSize), make([]string, 0, batchSize), nil, make([]place, 0, batchSize)}
}

func (b *batch) add(m member) {
	if m.deadline != 0 && b.deadlines == nil {
		b.deadlines = make([]int64, len(b.keys), batchSize)
	}
	if b.deadlines != nil {
		b.deadlines = append(b.deadlines, m.deadline)
	}
	b.keys = append(b.keys, m.key)
	b.values = append(b.values, m.value)
	b.places = append(b.places, m.at)
}

func (b batch) emptied() batch { return batch{b.keys[:0], b.values[:0], nil, b.places[:0]} }

// membersAhead decodes on a goroutine of its own, while the caller uses the
// members decoded before.
//
// A fixed number of batches go round, from free to filled and back. Each channel
// has room for all batches, so only receives wait: the goroutine waits for a
// batch to fill, the caller for a filled batch.
type membersAhead struct {
	free, filled chan batch

	// The result of decoding, written before filled is closed.
	err      error
	panicked any // what a Read has panicked with, or nil
}

// errReaderEnded is the result if a Read ends the goroutine, as t.FailNow does.
var errReaderEnded = errors.New("the reader has ended its goroutine")

const (
	batches = 3 // one at either end and one between

	// 48 KiB. With 256 members the goroutines wake each other more often, and a
	// load takes a third longer (go test -bench Decode ./internal/codec).
	batchSize = 1024
)

func readAhead(d *decoder) *membersAhead {
	a := &membersAhead{free: make(chan batch, batches), filled: make(chan batch, batches)}
	for range batches {
		a.free <- newBatch()
	}
	go a.decode(d)
	return a
}

func (a *membersAhead) decode(d *decoder) {
	defer close(a.filled)
	defer func() { a.panicked = recover() }()
	a.err = errReaderEnded
	b := <-a.free
	a.err = d.object(func(m member) (wanted bool) {
		if b.add(m); len(b.keys) < batchSize {
			return true
		}
		a.filled <- b
		b, wanted = <-a.free
		return wanted
	})
	a.filled <- b
}

// end ends the goroutine, however far it has decoded, and returns afterwards.
func (a *membersAhead) end() {
	close(a.free)
	for range a.filled {
	}
}

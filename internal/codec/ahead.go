package codec

import "io"

// A member of the object, and how many bytes came before it.
type member struct {
	key, value string
	offset     int64
}

// A batch is members in their order.
type batch struct {
	keys, values []string
	offsets      []int64
}

func newBatch() batch {
	return batch{make([]string, 0, batchSize), make([]string, 0, batchSize), make([]int64, 0, batchSize)}
}

func (b *batch) add(m member) {
	b.keys = append(b.keys, m.key)
	b.values = append(b.values, m.value)
	b.offsets = append(b.offsets, m.offset)
}

func (b batch) emptied() batch { return batch{b.keys[:0], b.values[:0], b.offsets[:0]} }

// membersAhead is a goroutine that decodes while its caller does something with
// what was decoded before.
//
// A fixed number of batches go round, from free to filled and back. Both channels
// have room for all, so that only a receive ever waits: the goroutine for a
// batch to fill, the caller for a filled one.
type membersAhead struct {
	free, filled chan batch
	err          error // how decoding ended; written before filled is closed
}

const (
	batches   = 3    // one at either end and one between
	batchSize = 1024 // 40 KiB; waking each other after 256 members takes a third longer
)

func readAhead(r io.Reader) *membersAhead {
	a := &membersAhead{free: make(chan batch, batches), filled: make(chan batch, batches)}
	for range batches {
		a.free <- newBatch()
	}
	go a.decode(newDecoder(r))
	return a
}

func (a *membersAhead) decode(d *decoder) {
	defer close(a.filled)
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

// end has the goroutine end, wherever it is, and returns when it has.
func (a *membersAhead) end() {
	close(a.free)
	for range a.filled {
	}
}

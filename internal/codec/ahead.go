package codec

import "io"

// A member of the object, and how many bytes came before it.
type member struct {
	key, value string
	offset     int64
}

// membersAhead is a goroutine that decodes while its caller does something with
// what was decoded before.
//
// A fixed number of batches go round, from free to filled and back. Both channels
// have room for all, so that only a receive ever waits: the goroutine for a
// batch to fill, the caller for a filled one.
type membersAhead struct {
	free, filled chan []member
	err          error // how decoding ended; written before filled is closed
}

const (
	batches   = 3    // one at either end and one between
	batchSize = 1024 // 40 KiB; waking each other after 256 members takes a third longer
)

func readAhead(r io.Reader) *membersAhead {
	a := &membersAhead{free: make(chan []member, batches), filled: make(chan []member, batches)}
	for range batches {
		a.free <- make([]member, 0, batchSize)
	}
	go a.decode(newDecoder(r))
	return a
}

func (a *membersAhead) decode(d *decoder) {
	defer close(a.filled)
	batch := <-a.free
	a.err = d.object(func(m member) bool {
		if batch = append(batch, m); len(batch) < batchSize {
			return true
		}
		a.filled <- batch
		var wanted bool
		batch, wanted = <-a.free
		return wanted
	})
	a.filled <- batch
}

// end has the goroutine end, wherever it is, and returns when it has.
func (a *membersAhead) end() {
	close(a.free)
	for range a.filled {
	}
}

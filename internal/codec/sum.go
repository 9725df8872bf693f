package codec

import (
	"hash/crc32"
	"io"
)

// A summer sums up the text that is read through it, up to any place in the last piece. The decoder reads ahead, so the end of the object is known only when the
// bytes behind it have been read, too.
//
// Invariant: the closing brace of an object is in the last piece. The decoder reads a
// new piece only when it has used up the ones before, or when a string goes on.
type summer struct {
	r      io.Reader
	before int64  // bytes before last
	sum    uint32 // of them
	last   []byte // a copy: the reader's buffer moves
}

// Read reads the next piece.
func (s *summer) Read(p []byte) (int, error) {
	s.sum = crc32.Update(s.sum, castagnoli, s.last)
	s.before += int64(len(s.last))
	n, err := s.r.Read(p)
	s.last = append(s.last[:0], p[:max(0, min(n, len(p)))]...)
	return n, err
}

// upTo returns the sum of the first offset bytes.
func (s *summer) upTo(offset int64) uint32 {
	return crc32.Update(s.sum, castagnoli, s.last[:offset-s.before])
}
